"""Client libraries that others wrote for Marketing Cloud work with the simulator: that is what proves it right."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from portal.simulator import Simulator
from portal.simulator.world import EID, Package
from tests.components import need_node_libraries

DRIVER = Path(__file__).with_name("drive_sfmc_sdk.mjs")


@pytest.fixture
def sfmc_sdk(simulator: Simulator, package: Package) -> dict[str, Any]:
    """What sfmc-sdk saw."""
    node, libraries = need_node_libraries()
    account = {
        "subdomain": simulator.world.subdomain,
        "client_id": package.client_id,
        "client_secret": package.client_secret,
        "mid": EID,
    }
    command = [node, DRIVER, libraries, simulator.origin, json.dumps(account)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_sfmc_sdk_reads_and_writes_rows_unsubscribes_and_renews_its_token(sfmc_sdk: dict[str, Any]) -> None:
    seen = sfmc_sdk
    cities = [(row["keys"]["id"], row["values"]["city"]) for row in seen["rows"]["items"]]
    assert cities == [("1", "Bonn"), ("2", "Graz"), ("3", "Lyon")]
    assert [result["status"] for result in seen["later"]["items"]] == ["OK", "Error"]
    assert seen["before"] == [{"SubscriberKey": "SUB-1", "Status": "Active"}]
    assert [result["StatusCode"] for result in seen["unsubscribed"]] == ["OK"]
    assert seen["after"] == [{"SubscriberKey": "SUB-1", "Status": "Unsubscribed"}]
    assert [result["ErrorCode"] for result in seen["again"]] == [401]
    assert [row["SubscriberKey"] for row in seen["bulk"]] == ["SUB-1", "SUB-2"]
    assert seen["renewedForRest"]["member_id"] == int(EID)
    assert seen["renewedForSoap"] == "OK"
    assert seen["wrongSecret"] == "invalid_client"
    assert seen["missingScope"] == [403, 20000]


@pytest.fixture
def fuel_sdk(simulator: Simulator, package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of Salesforce-FuelSDK, which keeps files of its own in the working folder and the home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    import FuelSDK

    return FuelSDK.ET_Client(
        params={
            "clientid": package.client_id,
            "clientsecret": package.client_secret,
            "authenticationurl": f"{simulator.origin}/https://{simulator.world.subdomain}.auth.marketingcloudapis.com",
            "useOAuth2Authentication": "True",
            "accountId": EID,
            "defaultwsdl": f"{simulator.origin}/etframework.wsdl",
            "wsdl_file_local_loc": str(tmp_path / "partner.wsdl"),
        }
    )


# It was written in 2019 and leaves its sockets and files to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")
def test_fuelsdk_reads_changes_and_unsubscribes_subscribers(fuel_sdk: Any, simulator: Simulator) -> None:
    import FuelSDK

    subscriber = FuelSDK.ET_Subscriber()
    subscriber.auth_stub = fuel_sdk
    subscriber.props = ["SubscriberKey", "EmailAddress", "Status"]
    subscriber.search_filter = {"Property": "SubscriberKey", "SimpleOperator": "equals", "Value": "SUB-2"}
    read = subscriber.get()
    assert read.status
    assert [(one.SubscriberKey, one.EmailAddress, one.Status) for one in read.results] == [
        ("SUB-2", "token2@tok.example.net", "Active")
    ]

    subscriber.props = {"SubscriberKey": "SUB-2", "Status": "Unsubscribed"}
    written = subscriber.patch()
    assert [one.StatusCode for one in written.results] == ["OK"]
    assert simulator.world.subscribers["SUB-2"].unsubscribed == {EID: ""}

    subscriber.props = {"SubscriberKey": "SUB-9", "Status": "Unsubscribed"}
    assert not subscriber.patch().status

    request = {"Name": "LogUnsubEvent", "Parameters": [{"Name": "SubscriberKey", "Value": "SUB-1"}]}
    code, answer = fuel_sdk.soap_client.service.Execute(request)
    assert (code, answer.OverallStatus) == (200, "OK")
    assert EID in simulator.world.subscribers["SUB-1"].unsubscribed
