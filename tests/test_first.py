from tests.api import Api


def test_charges_until_402(api: Api) -> None:
    user = api.login()
    assert user.charge(60).json() == {"tokensLeft": 40}
    refused = user.charge(41)
    assert refused.status_code == 402
    assert refused.json() == {"error": "Payment Required", "tokensLeft": 40}
    assert user.balance()["tokensLeft"] == 40
