import pytest

from streams import topics


@pytest.mark.parametrize(
    ("key", "hash"),
    # What Kafka's own Utils.murmur2 answers, as a signed 32-bit number.
    [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536)],
)
def test_partition_is_what_a_java_producer_would_choose(key: str, hash: int) -> None:
    assert topics.partition_of(key) == (hash & 0x7FFFFFFF) % topics.PARTITIONS


def test_every_topic_has_its_own_name() -> None:
    names = [topic.name for topic in topics.TOPICS]
    assert len(names) == len(set(names)) == 10
