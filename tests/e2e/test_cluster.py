"""Jobs on a cluster of three nodes write what the embedded Ray writes, also when a node dies; what listens where."""

import functools
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from tests.e2e.cluster import PROJECT, is_loopback, kill, listening, three_nodes
from tests.e2e.conftest import OPTIONS, contents
from tests.e2e.processes import descendants, title

SHARDS = 8


@pytest.fixture(scope="module")
def cluster():
    with three_nodes() as cluster:
        yield cluster


def test_the_embedded_ray_listens_on_loopback_alone(ray_session):
    seen = listening(os.getpid())
    assert any("gcs_server" in command for command, _, _ in seen)
    assert [each for each in seen if not is_loopback(each[1])] == []


@pytest.mark.slow
@pytest.mark.fault
def test_a_submitted_job_survives_the_death_of_a_node(cluster, shards, undisturbed, record_fault, tmp_path):
    run = tmp_path / "run"

    def written():
        return len(list(run.glob("predictions/benchmark=drawn/*.parquet")))

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(cluster.submit, "jobs.evaluate", shards, run, *OPTIONS)
        while not written():
            assert not job.done(), job.result().stdout + job.result().stderr
            time.sleep(0.02)
        kill(next(process for process in cluster.workers.values() if holds_a_model(process)))
        before = written()
        done = job.result()
    assert before < SHARDS, "all was done before the node died"
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tables: " in done.stdout
    how = "SIGKILL of all processes of a node that holds a model, in a cluster of three"
    record_fault(how, contents(run), undisturbed)


def holds_a_model(node):
    return any("ray::MapWorker" in title(process_id) for process_id in descendants(node.pid))


@pytest.fixture
def config():
    """cluster.yaml as Ray reads it."""
    from ray.autoscaler._private.util import prepare_config

    return prepare_config(yaml.safe_load((PROJECT / "cluster.yaml").read_text())) | {"cluster_synced_files": []}


def test_cluster_file_is_one_that_ray_takes(config):
    from ray.autoscaler._private.util import validate_config

    validate_config(config)
    types = config["available_node_types"]
    head, spot, on_demand = (types[name] for name in (config["head_node_type"], "gpu-spot", "gpu-on-demand"))
    assert head["resources"]["CPU"] == head["resources"]["GPU"] == 0
    assert all(kind["resources"]["GPU"] == 1 and kind["min_workers"] == 0 for kind in (spot, on_demand))
    assert spot["node_config"].pop("InstanceMarketOptions") == {"MarketType": "spot"}
    assert spot["node_config"] == on_demand["node_config"]
    assert spot["max_workers"] + on_demand["max_workers"] == config["max_workers"]


def test_the_autoscaler_takes_spot_workers_first_and_on_demand_ones_beyond(config):
    from ray.autoscaler._private.node_provider_availability_tracker import NodeAvailabilitySummary
    from ray.autoscaler._private.resource_demand_scheduler import _default_utilization_scorer, get_nodes_for

    types = config["available_node_types"]
    score = functools.partial(_default_utilization_scorer, node_availability_summary=NodeAvailabilitySummary({}))

    def added(models):
        return get_nodes_for(types, {"head": 1}, "head", 8, [{"GPU": 0.5}] * models, score)[0]

    assert added(3) == {"gpu-spot": 2}
    assert added(16) == {"gpu-spot": 6, "gpu-on-demand": 2}


def test_ray_starts_workers_of_both_types_on_an_imitation_of_aws(config, monkeypatch, tmp_path):
    import boto3
    from moto import mock_aws
    from ray.autoscaler._private.aws.config import bootstrap_aws
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    (tmp_path / ".ssh").mkdir()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "imitated")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)  # other tests' object store
    monkeypatch.setenv("HOME", str(tmp_path))  # where Ray writes its SSH key
    with mock_aws():
        boto3.client("iam").create_instance_profile(InstanceProfileName="zsad-worker")
        config = bootstrap_aws(config)
        provider = AWSNodeProvider(config["provider"], config["cluster_name"])
        for name in ("gpu-spot", "gpu-on-demand"):
            tags = {"ray-node-type": "worker", "ray-node-name": name, "ray-user-node-type": name}
            provider.create_node(dict(config["available_node_types"][name]["node_config"]), tags, 1)
        ec2 = boto3.client("ec2", region_name=config["provider"]["region"])
        started = [node for each in ec2.describe_instances()["Reservations"] for node in each["Instances"]]
        groups = ec2.describe_security_groups()["SecurityGroups"]
    assert [node.get("InstanceLifecycle") for node in started] == ["spot", None]
    assert {node["InstanceType"] for node in started} == {"g5.2xlarge"}
    rules = next(group["IpPermissions"] for group in groups if group["GroupName"] == "ray-autoscaler-zsad")
    assert [rule["FromPort"] for rule in rules if rule["IpRanges"]] == [22]
