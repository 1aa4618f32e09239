"""What moves: every topic, its key and what it carries. `docs/asyncapi.yaml` describes the records to other systems."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from aiokafka.partitioner import murmur2

#: Partitions of every topic, fixed when `main.py migrate` makes them: keys hash to them and numbers are per partition.
PARTITIONS = 8


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One topic. `name` is without the deployment's prefix; every stored name is too."""

    name: str
    #: What the record key is made of.
    key: str
    #: What a record says.
    carries: str


CHANGES = Topic(name="crm.changes", key="entity:id", carries="every captured row change")
ACTIVITIES = Topic(name="crm.activities", key="entity:id", carries="calls, meetings, notes, logged mails")
COMMANDS = Topic(name="crm.commands", key="job id", carries="steps of import, bulk, export, reports")
CAMPAIGN_COMMANDS = Topic(name="campaign.commands", key="campaign id", carries="schedule, send step, pause")
CAMPAIGN_TRACKING = Topic(name="campaign.tracking", key="campaign id", carries="open, click, bounce, unsubscribe")
WIDGET_COMMANDS = Topic(name="widget.commands", key="widget id", carries="refresh, invalidate")
PUBLICATIONS = Topic(name="hub.publications", key="channel", carries="what sessions see")
CONTROL = Topic(name="hub.control", key="user or node", carries="disconnect, unsubscribe, presence, node heartbeat")
API = Topic(name="hub.api", key="", carries="server API commands from backends without HTTP")
DEAD = Topic(name="hub.dead", key="original key", carries="what an agent gave up on")

TOPICS = (
    CHANGES,
    ACTIVITIES,
    COMMANDS,
    CAMPAIGN_COMMANDS,
    CAMPAIGN_TRACKING,
    WIDGET_COMMANDS,
    PUBLICATIONS,
    CONTROL,
    API,
    DEAD,
)


@lru_cache(maxsize=65_536)
def partition_of(key: str) -> int:
    """Partition of a key: Kafka's default hash (murmur2, positive, modulo), so that any producer agrees."""
    return int((murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS)
