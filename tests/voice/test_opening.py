"""A session is open when the client has its handshake; before that, what is wrong is HTTP."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api import Api, User, config
from tests.doubles.realtime import RealtimeDouble
from tests.endpoints import PROVIDER_KEY
from tests.processes import Server, Valkey, eventually
from tests.voice.over_http import config_of, error_of, new_user, next_event, refusal, talk

PAGE = "https://app.example"


@pytest.fixture
def user(http: httpx.Client, double: RealtimeDouble) -> User:
    return new_user(http, double)[0]


def test_a_session_opens(http: httpx.Client, double: RealtimeDouble) -> None:
    user, model = new_user(http, double)
    with talk(user, f"?model=voice/{model}") as connection:
        assert connection.subprotocol is None
        head = connection.response
        assert head is not None
        assert head.headers["RateLimit-Policy"] == '"requests";q=10000;w=60'
        assert head.headers["X-Request-ID"]
        assert "Sec-WebSocket-Extensions" not in head.headers
        created = next_event(connection, "session.created")
        assert created["session"]["model"] == model
        (session,) = double.sessions(model)
        assert session.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
        assert user.api_key not in str(session)
        assert session.subprotocols == []
    assert user.balance()["tokensHeld"] == 0
    assert user.changes()[-1][2] == 100_000


@pytest.mark.parametrize(
    ("others", "selected"), [((), "realtime"), (("openai-agents-sdk.0.20.0",), "realtime")]
)
def test_browsers_send_the_key_as_a_subprotocol(
    user: User, others: tuple[str, ...], selected: str
) -> None:
    offered = ["realtime", f"openai-insecure-api-key.{user.api_key}", *others]
    with talk(user, headers={}, subprotocols=offered) as connection:
        assert connection.subprotocol == selected
        next_event(connection, "session.created")


def test_without_realtime_no_subprotocol_is_selected(user: User) -> None:
    """The key least of all."""
    offered = [f"openai-insecure-api-key.{user.api_key}"]
    with talk(user, headers={}, subprotocols=offered) as connection:
        assert connection.subprotocol is None


def test_a_restricted_key_opens_only_what_it_is_for(
    http: httpx.Client,
    double: RealtimeDouble,
) -> None:
    user, model = new_user(http, double)
    with talk(user.restricted(tokens=50, models=[model])) as connection:
        next_event(connection, "session.created")
    other = user.restricted(tokens=50, models=["other"])
    assert error_of(refusal(other))["code"] == "model_not_allowed"


@pytest.mark.parametrize("key", ["", "temp_0123456789abcdef0123456789abcdef", "ek_" + "x" * 43])
def test_a_wrong_key_reaches_nobody(user: User, double: RealtimeDouble, key: str) -> None:
    before = double.handshakes
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    response = refusal(user, headers=headers)
    assert response.status_code == 401
    assert error_of(response)["code"] == "invalid_api_key"
    assert response.headers["x-should-retry"] == "false"
    assert double.handshakes == before


def test_a_client_secret_opens_a_session(user: User) -> None:
    made = user.api.post("/v1/realtime/client_secrets", {}, user.headers)
    assert made.status_code == 200, made.text
    offered = ["realtime", f"openai-insecure-api-key.{made.json()['value']}"]
    with talk(user, headers={}, subprotocols=offered) as connection:
        next_event(connection, "session.created")


def test_a_client_secret_of_another_tenant_opens_none(
    http: httpx.Client,
    double: RealtimeDouble,
    user: User,
) -> None:
    made = user.api.post("/v1/realtime/client_secrets", {}, user.headers)
    other, _ = new_user(http, double)
    headers = {"Authorization": f"Bearer {made.json()['value']}"}
    assert refusal(other, headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("?call_id=rtc_1", {}, "unsupported_parameter"),
        ("?intent=transcription", {}, "unsupported_parameter"),
        ("", {"OpenAI-Beta": "realtime=v1"}, "beta_api_shape_disabled"),
    ],
)
def test_what_is_not_served_is_named(
    user: User, query: str, headers: dict[str, str], code: str
) -> None:
    response = refusal(user, query, headers=user.headers | headers)
    assert response.status_code == 400
    assert error_of(response)["code"] == code


def test_the_beta_of_browsers_is_refused(user: User) -> None:
    key = f"openai-insecure-api-key.{user.api_key}"
    offered = ["realtime", key, "openai-beta.realtime-v1"]
    response = refusal(user, headers={}, subprotocols=offered)
    assert error_of(response)["code"] == "beta_api_shape_disabled"


def test_models_that_nobody_offers(user: User) -> None:
    response = refusal(user, "?model=gpt-4o")
    assert response.status_code == 404
    assert error_of(response)["code"] == "model_not_found"


def test_nothing_is_left(http: httpx.Client, double: RealtimeDouble) -> None:
    user, model = new_user(http, double, tokens=0)
    response = refusal(user)
    assert response.status_code == 402
    assert error_of(response)["code"] == "insufficient_quota"
    assert double.sessions(model) == []


def test_opening_counts_towards_the_rate_limit(
    http: httpx.Client,
    double: RealtimeDouble,
) -> None:
    user, _ = new_user(http, double)
    value = config_of(user)
    value["user_groups"]["anonymous"] |= {"rate_limit": 1, "rate_limit_window": 60}
    assert user.api.put_config(value).status_code == 200
    other = user.api.login()
    with talk(other) as connection:
        head = connection.response
        assert head is not None
        assert head.headers["RateLimit"].startswith('"requests";r=0;')
    response = refusal(other)
    assert response.status_code == 429
    assert response.headers["Retry-After"]


@pytest.mark.parametrize(
    ("group", "code"),
    [
        ({"endpoints": ["text"]}, "endpoint_not_allowed"),
        ({"prompts_only": True}, "prompts_only"),
        ({"models": ["other"]}, "model_not_allowed"),
    ],
)
def test_a_group_that_may_not(
    http: httpx.Client,
    double: RealtimeDouble,
    group: dict[str, object],
    code: str,
) -> None:
    user, model = new_user(http, double)
    value = config_of(user)
    value["user_groups"]["anonymous"] |= group
    assert user.api.put_config(value).status_code == 200
    response = refusal(user)
    assert response.status_code == 403
    assert error_of(response)["code"] == code
    assert double.sessions(model) == []


def test_pages_of_others_may_not(http: httpx.Client, double: RealtimeDouble) -> None:
    user, _ = new_user(http, double)
    value = config_of(user)
    assert user.api.put_config(value | {"allowed_origins": [PAGE]}).status_code == 200
    response = refusal(user, origin="https://evil.example")
    assert response.status_code == 403
    with talk(user, origin=PAGE) as connection:
        next_event(connection, "session.created")
    with talk(user) as connection:  # an app
        next_event(connection, "session.created")


def test_no_tenant_without_voice(http: httpx.Client) -> None:
    user = Api.new_tenant(http, config()).login()
    assert refusal(user).status_code == 404


def test_of_a_user_five_are_open_at_a_time(user: User) -> None:
    open_ones = [talk(user) for _ in range(5)]
    response = refusal(user)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
    open_ones.pop().close()

    def opens() -> bool:
        try:
            open_ones.append(talk(user))
        except Exception:
            return False
        return True

    eventually(opens)
    for connection in open_ones:
        connection.close()


@pytest.fixture(scope="module")
def small(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server for one session at a time."""
    output = tmp_path_factory.mktemp("small") / "out"
    with (
        Server(
            output, REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1", REALTIME_SESSIONS="1"
        ) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        yield http


def test_a_worker_has_so_many(small: httpx.Client, double: RealtimeDouble) -> None:
    user, _ = new_user(small, double)
    with talk(user):
        response = refusal(user.api.login())
        assert (response.status_code, error_of(response)["code"]) == (503, "service_unavailable")
