"""`ecurie serve`: the HTTP interface and its worker process, until Ctrl-C."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import sys
import threading
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ecurie.cli import flags
from ecurie.errors import DataFolderInUse, PortInUse, SettingsError

if TYPE_CHECKING:
    from ecurie.settings import Settings

log = logging.getLogger(__name__)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [ECURIE_HOST; 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [ECURIE_PORT; 8009].")] = None,
    demo: flags.Demo = None,
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
    device: flags.Device = None,
    workers: Annotated[
        str | None,
        typer.Option(help="Processes that make images [auto: one for each CUDA device, else one]."),
    ] = None,
    settings_file: Annotated[Path | None, typer.Option(help="Settings file [ECURIE_SETTINGS_FILE].")] = None,
    allowed_hosts: Annotated[
        list[str] | None, typer.Option(help="Host names to accept besides loopback ones; may be repeated.")
    ] = None,
    allowed_origins: Annotated[
        list[str] | None, typer.Option(help="Web origins that may send requests; may be repeated.")
    ] = None,
    trusted_proxies: Annotated[
        list[str] | None, typer.Option(help="Proxies whose X-Forwarded-For is believed; may be repeated.")
    ] = None,
    wrong_keys_per_minute: Annotated[
        int | None, typer.Option(help="Wrong API keys from one address before more are refused.")
    ] = None,
    image_link_seconds: Annotated[
        int | None, typer.Option(help="How long the address of an image holds without a key.")
    ] = None,
    max_queue: Annotated[int | None, typer.Option(help="Queued jobs before new ones are refused.")] = None,
    max_pixels: Annotated[int | None, typer.Option(help="Largest width x height of an image.")] = None,
    max_body_bytes: Annotated[int | None, typer.Option(help="Largest request body.")] = None,
    max_upload_bytes: Annotated[int | None, typer.Option(help="Largest picture sent, as a file.")] = None,
    max_upload_pixels: Annotated[int | None, typer.Option(help="Most pixels of such a picture.")] = None,
    max_connections: Annotated[int | None, typer.Option(help="Connections at once; more get 503.")] = None,
    receive_seconds: Annotated[
        float | None, typer.Option(help="Time for the body of a request to arrive.")
    ] = None,
    send_seconds: Annotated[
        float | None, typer.Option(help="Time for a client to take a part of an answer.")
    ] = None,
    keep_uploads_days: Annotated[
        float | None, typer.Option(help="When pictures that nobody uses are removed; 0: never.")
    ] = None,
    keep_outputs_days: Annotated[
        float | None, typer.Option(help="When images are removed, after their job's end; 0: never.")
    ] = None,
    keep_jobs_days: Annotated[
        float | None, typer.Option(help="When jobs are forgotten, after their end; 0: never.")
    ] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Runs of a job whose worker keeps dying.")] = None,
    lease_seconds: Annotated[float | None, typer.Option(help="When a silent worker loses its job.")] = None,
    max_overtake_seconds: Annotated[
        float | None,
        typer.Option(help="How long a worker stays with a model while an older job waits for another."),
    ] = None,
    stall_seconds: Annotated[float | None, typer.Option(help="When a job without progress is lost.")] = None,
    drain_seconds: Annotated[float | None, typer.Option(help="At stop, time for the running job.")] = None,
    ram_budget: Annotated[
        str | None, typer.Option(help="Host memory for models, such as 12GB [80 % of the free].")
    ] = None,
    vram_budget: Annotated[
        str | None, typer.Option(help="Accelerator memory, such as 10GB [90 % of the free].")
    ] = None,
    max_resident_models: Annotated[int | None, typer.Option(help="Models kept in memory at most.")] = None,
    preload: Annotated[
        list[str] | None, typer.Option(help="Models to load first: ID[,ID]; may be repeated.")
    ] = None,
    verify_weights: Annotated[
        bool | None, typer.Option("--verify-weights", help="Check unpatched weights before each job.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of a worker.")] = None,
    prefetch: Annotated[
        bool | None, typer.Option(help="Read the files of the next jobs while one runs.")
    ] = None,
    download: Annotated[str | None, typer.Option(help="auto or never: downloads on first use.")] = None,
    civitai_url: Annotated[str | None, typer.Option(help="Where to ask for civitai: sources.")] = None,
    plain_http_hosts: Annotated[
        list[str] | None, typer.Option(help="Hosts (name:port) of files without TLS; may be repeated.")
    ] = None,
    reference_image: Annotated[
        Path | None, typer.Option(help="Picture for requests with ip_strength that bring none.")
    ] = None,
    previews: Annotated[
        bool | None, typer.Option("--previews/--no-previews", help="Small pictures of what a job draws.")
    ] = None,
    preview_decoder: Annotated[
        Path | None, typer.Option(help="AutoencoderTiny for previews, a folder or file.")
    ] = None,
    outputs_url: Annotated[
        str | None, typer.Option(help="Where images go: file:///folder or s3://bucket/prefix.")
    ] = None,
    s3_endpoint_url: Annotated[
        str | None, typer.Option(help="Address of S3-compatible storage [that of AWS].")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json.")] = None,
    log_prompts: Annotated[bool | None, typer.Option("--log-prompts", help="Prompts into the log.")] = None,
    access_log: Annotated[bool | None, typer.Option("--access-log", help="Requests into the log.")] = None,
    otlp_endpoint: Annotated[
        str | None, typer.Option(help="OpenTelemetry collector for traces: http://HOST:4318.")
    ] = None,
) -> None:
    """Serve the HTTP interface. Every setting but the secret ones (ECURIE_API_KEY…) is a flag."""
    flags_given = dict(locals())
    from ecurie.bootstrap import any_key, make_data_dir
    from ecurie.locks import ProcessLock
    from ecurie.logs import configure_logging
    from ecurie.settings import load_settings

    settings = load_settings(**flags_given)
    settings.check_bind(partial(any_key, settings))
    settings.check_reach()
    configure_logging(settings.log_level, settings.log_format)
    make_data_dir(settings)
    lock = ProcessLock(settings.data_dir / "serve.lock")
    if not lock.acquire():
        raise DataFolderInUse(
            f"another ecurie server uses the data folder {settings.data_dir}",
            remedy="stop it, or give this one another --data-dir",
        )
    _serve(settings, _listen(settings.host, settings.port))


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything costly starts. Raises PortInUse or SettingsError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except socket.gaierror as error:
        raise SettingsError(f"--host {host}: {error.strerror}") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} on {host} is in use", remedy="stop what uses it, or choose another with --port"
            ) from error
        raise SettingsError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    return listener


def _serve(settings: Settings, listener: socket.socket) -> None:
    import uvicorn

    from ecurie.api.app import create_app
    from ecurie.api.connections import protocol
    from ecurie.bootstrap import (
        make_doorbell,
        make_retention,
        make_service,
        make_store,
        make_tracing,
        preloaded,
        prepare_storage,
        worker_environments,
    )
    from ecurie.images.files import discard_runs
    from ecurie.jobs.forecasts import Forecasts
    from ecurie.jobs.leases import HeldJob
    from ecurie.supervisor import Supervisor, WorkerOptions

    prepare_storage(settings)
    store = make_store(settings)
    doorbell, tracing = make_doorbell(settings), make_tracing(settings, "ecurie")
    service = make_service(settings, store, doorbell)
    retention = make_retention(settings, service)
    preloaded(settings, service.catalog)
    server: uvicorn.Server
    setup_failed = threading.Event()

    def discard(held: HeldJob) -> None:
        discard_runs(service.outputs, store.get(held.id), range(1, held.attempt + 1))

    def give_up() -> None:
        setup_failed.set()
        server.should_exit = True

    options = WorkerOptions(
        environments=worker_environments(settings),
        folder=settings.workers_dir,
        drain_seconds=settings.drain_seconds,
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.max_attempts,
    )
    supervisor = Supervisor(options, store, doorbell, discard, give_up)
    app = create_app(
        service,
        lambda: server.should_exit,
        Forecasts(store.database, store.workers.names, settings.max_overtake_seconds),
        allowed_hosts=settings.allowed_hosts
        if settings.on_loopback
        else (settings.host, *settings.allowed_hosts),
        allowed_origins=settings.allowed_origins,
        api_key=None if settings.api_key is None else settings.api_key.get_secret_value(),
        key_always=settings.in_reach,
        wrong_keys_per_minute=settings.wrong_keys_per_minute,
        image_link_seconds=settings.image_link_seconds,
        max_body_bytes=settings.max_body_bytes,
        max_upload_bytes=settings.max_upload_bytes,
        receive_seconds=settings.receive_seconds,
        access_log=settings.access_log,
        tracing=tracing,
    )

    class Server(uvicorn.Server):
        """The workers begin to drain when the signal comes, not when the last connection is closed."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            supervisor.begin_stop()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        # Uvicorn's default believes whoever is on this machine.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        http=protocol(settings.receive_seconds, settings.send_seconds),
        # Its records go where all others go.
        log_config=None,
        access_log=False,
        log_level="warning",
        limit_concurrency=settings.max_connections,
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    server = Server(config)
    # Uvicorn raises the signal again when it has closed; by then it has done its work.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    try:
        supervisor.start()
        retention.start()
        _welcome(settings, app.state.keys.any_usable())
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        log.info("stopping: the running job finishes or goes back to the queue")
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        retention.stop()
        supervisor.stop()
        doorbell.close()
        store.close()
        if tracing is not None:
            tracing.close()
    if setup_failed.is_set():
        raise SettingsError("the worker cannot start with these settings", remedy="the log above says why")


def _welcome(settings: Settings, keyed: bool) -> None:
    """For people; where records are for programs, nothing else is written among them."""
    if settings.log_format == "json":
        log.info("serving on %s, port %d", settings.host, settings.port)
    else:
        print(_how_to_try(settings, keyed), file=sys.stderr, flush=True)


def _how_to_try(settings: Settings, keyed: bool) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    key = ' -H "Authorization: Bearer $ECURIE_API_KEY"' if keyed or settings.api_key else ""
    place = settings.outputs_place.removeprefix("file://")
    workers = "" if settings.broker_url is None else "\nWorkers are started by: ecurie worker"
    what = "the demo models" if settings.demo else f"the catalogue {settings.catalog_file}"
    return f"""
Écurie serves {what} at {url} (Ctrl-C stops). Try, in another terminal:

  curl{key} -X POST "{url}/generate?wait=60" -d '{{"prompt": "red apple", "seed": 7}}'

Images are written to {place}{workers}
"""
