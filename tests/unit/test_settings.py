from __future__ import annotations

from pathlib import Path

import pytest

from ecurie.errors import SettingsError, UnsafeBind
from ecurie.settings import Settings, load_settings


def test_flag_beats_environment_beats_file_beats_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.toml").write_text('port = 1111\nhost = "localhost"\nmax_queue = 5\n')
    monkeypatch.setenv("ECURIE_PORT", "2222")
    monkeypatch.setenv("ECURIE_DATA_DIR", str(tmp_path))
    settings = load_settings(host="::1", port=None)
    assert (settings.host, settings.port, settings.max_queue) == ("::1", 2222, 5)
    assert settings.max_attempts == Settings.model_fields["max_attempts"].default


def test_all_state_lies_in_the_data_folder(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    for place in (settings.models_dir, settings.workers_dir, settings.catalog_file):
        assert place.is_relative_to(tmp_path)
    assert str(tmp_path) in settings.store_url
    assert settings.outputs_place == f"file://{tmp_path}/outputs"
    assert settings.uploads_place == f"file://{tmp_path}/uploads"


def test_pictures_that_are_sent_go_where_images_go(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, outputs_url="s3://bucket/images/")
    assert settings.uploads_place == "s3://bucket/images/uploads"


@pytest.mark.parametrize(
    ("flags", "named"),
    [({"port": 70000}, "--port"), ({"device": "tpu"}, "--device"), ({"nonsense": 1}, "--nonsense")],
)
def test_a_wrong_flag_is_named(tmp_path: Path, flags: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load_settings(data_dir=tmp_path, **flags)


@pytest.mark.parametrize("key", ["", "  "])
def test_an_empty_key_is_no_key(tmp_path: Path, key: str) -> None:
    with pytest.raises(SettingsError, match="leave the server open"):
        load_settings(data_dir=tmp_path, host="0.0.0.0", api_key=key)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_named_as_people_name_it(tmp_path: Path, scheme: str) -> None:
    settings = load_settings(data_dir=tmp_path, database_url=f"{scheme}://me:s3cret@db.test/jobs")
    assert settings.store_url == "postgresql+psycopg://me:s3cret@db.test/jobs"
    assert "s3cret" not in f"{settings} {settings!r}"


@pytest.mark.parametrize(
    "url", ["mysql://me:s3cret@db.test/jobs", "s3cret", "postgresql://", "sqlite:///s3cret"]
)
def test_another_database_is_refused_without_showing_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("ECURIE_DATABASE_URL", url)
    with pytest.raises(SettingsError, match=r"ECURIE_DATABASE_URL: .*postgresql://USER") as caught:
        load_settings(data_dir=tmp_path)
    assert "s3cret" not in str(caught.value)


def test_a_misspelt_variable_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECURIE_PROT", "9000")
    with pytest.raises(SettingsError, match="ECURIE_PROT") as caught:
        load_settings(data_dir=tmp_path)
    assert caught.value.remedy == "did you mean ECURIE_PORT?"


def test_a_settings_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(settings_file=tmp_path / "typo.toml")


def test_the_demo_with_a_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both"):
        load_settings(demo=True, catalog=tmp_path / "c.yaml")


def test_a_wrong_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECURIE_MAX_QUEUE", "many")
    with pytest.raises(SettingsError, match="ECURIE_MAX_QUEUE"):
        load_settings(data_dir=tmp_path)


def test_a_wrong_line_of_the_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("port 80\n")
    with pytest.raises(SettingsError, match="TOML"):
        load_settings(data_dir=tmp_path)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_a_public_address_without_a_key_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(UnsafeBind, match="everyone"):
        load_settings(data_dir=tmp_path, host=host).check_bind(lambda: False)
    load_settings(data_dir=tmp_path, host=host, api_key="secret").check_bind(lambda: False)
    load_settings(data_dir=tmp_path, host=host).check_bind(lambda: True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_loopback_needs_no_key(tmp_path: Path, host: str) -> None:
    load_settings(data_dir=tmp_path, host=host).check_bind(lambda: False)


def test_a_proxy_before_a_server_without_a_key_is_refused(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, trusted_proxies=["127.0.0.1"])
    assert settings.in_reach
    with pytest.raises(UnsafeBind, match="a proxy"):
        settings.check_bind(lambda: False)
    settings.check_bind(lambda: True)


@pytest.mark.parametrize("proxy", ["*", "proxy.test", "10.0.0.1/8", "10.0.0.0/33"])
def test_proxies_are_addresses_or_networks(tmp_path: Path, proxy: str) -> None:
    with pytest.raises(SettingsError, match="no address or network"):
        load_settings(data_dir=tmp_path, trusted_proxies=["10.0.0.0/8,::1", proxy])


def test_a_child_process_sees_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = load_settings(
        data_dir=tmp_path,
        port=1234,
        api_key="s3",
        database_url="postgres://a:b@c/d",
        allowed_hosts=("a.test", "b.test"),
        demo=True,
    )
    for name, value in parent.as_environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == parent


@pytest.mark.parametrize("text", ["a.test,b.test", " a.test , b.test,", "a.test,,b.test"])
def test_several_names_are_given_with_commas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("ECURIE_ALLOWED_HOSTS", text)
    assert load_settings(data_dir=tmp_path, allowed_hosts=[]).allowed_hosts == ("a.test", "b.test")
    (tmp_path / "settings.toml").write_text('allowed_origins = ["https://ui.test"]\n')
    assert load_settings(data_dir=tmp_path).allowed_origins == ("https://ui.test",)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("12GB", 12_000_000_000),
        ("12 gb", 12_000_000_000),
        ("1.5GiB", 3 * 2**29),
        ("800M", 800_000_000),
        ("512MiB", 2**29),
        ("2t", 2 * 10**12),
        ("64KB", 64_000),
        ("1000000", 1_000_000),
        ("100B", 100),
    ],
)
def test_budgets_are_sizes_as_people_write_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, size: int
) -> None:
    monkeypatch.setenv("ECURIE_RAM_BUDGET", text)
    settings = load_settings(data_dir=tmp_path, vram_budget=text)
    assert (settings.ram_budget, settings.vram_budget) == (size, size)
    assert load_settings(**{**settings.model_dump(), "settings_file": None}) == settings


@pytest.mark.parametrize("text", ["12 apples", "-3GB", "0", "GB", "1e9", "12GBB", "twelve"])
def test_what_is_no_size_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="--ram-budget"):
        load_settings(data_dir=tmp_path, ram_budget=text)


def test_models_to_load_first_are_given_with_commas_or_several_flags(tmp_path: Path) -> None:
    assert load_settings(data_dir=tmp_path, preload=["a,b", "c"]).preload == ("a", "b", "c")
    assert load_settings(data_dir=tmp_path, preload=[]).preload == ()


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "filesystem://", "redis:/x"])
def test_what_is_no_broker_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("ECURIE_BROKER_URL", f"{url}?hunter2")
    with pytest.raises(SettingsError, match="ECURIE_BROKER_URL") as caught:
        load_settings(data_dir=tmp_path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("broker", "database", "fine"),
    [
        ("redis://10.0.0.5/0", None, False),
        ("amqps://mq.example.org//", None, False),
        ("redis://10.0.0.5/0", "postgresql://u:p@10.0.0.6/jobs", True),
        ("redis://localhost/0", None, True),
        ("redis:///0", None, True),
        ("amqp://guest:guest@127.0.0.1:5672//", None, True),
        (None, None, True),
    ],
)
def test_a_job_table_that_other_machines_cannot_share_is_refused(
    tmp_path: Path, broker: str | None, database: str | None, fine: bool
) -> None:
    settings = load_settings(data_dir=tmp_path, broker_url=broker, database_url=database)
    if fine:
        settings.check_reach()
        return
    with pytest.raises(SettingsError, match="SQLite") as caught:
        settings.check_reach()
    assert "ECURIE_DATABASE_URL" in (caught.value.remedy or "")
