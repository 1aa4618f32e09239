FROM python:3.11-slim

WORKDIR /switchboard
COPY requirements.lock .
RUN pip install --no-cache-dir -r requirements.lock

COPY settings.py main.py up.py ./
COPY models models
COPY analytics analytics
COPY streams streams
COPY actors actors
COPY hub hub
COPY engines engines
COPY docs docs

RUN useradd --create-home hub && install -d -o hub -g hub /data
USER hub
ENV HUB_HOST=0.0.0.0 HUB_DATA=/data PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8000 8001
ENTRYPOINT ["python", "main.py"]
CMD ["hub"]
