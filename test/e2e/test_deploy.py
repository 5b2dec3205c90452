"""What is there to deploy with says what the program, the image and each other say: flags, ports, users, times."""

import configparser
import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

from harness import Server, WAIT, program, run, server_flags
from harness.kustomize import build, check_object

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
KUBERNETES = os.path.join(ROOT, "tools", "deploy", "kubernetes")
UNIT = os.path.join(ROOT, "tools", "deploy", "systemd", "carillon.service")
KEY = "0123456789abcdef"
URI = "postgres://carillon:secret@database.example.org/carillon"


def text(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def variables():
    """Those that --help names."""
    code, out, _ = run("--help")
    assert code == 0
    names = set(re.findall(r"\bCARILLON_[A-Z_]+", out))
    assert {"CARILLON_HOST", "CARILLON_ADMIN_KEY"} <= names
    return names


def dockerfile():
    """Instruction -> its arguments, of the last stage."""
    lines = text("Dockerfile").replace("\\\n", " ").split("\n")
    last = max(n for n, line in enumerate(lines) if line.startswith("FROM"))
    found = {}
    for line in lines[last:]:
        if line and not line.startswith("#"):
            word, _, rest = line.strip().partition(" ")
            found.setdefault(word, []).append(rest)
    return found


def settings(pairs):
    """That a server takes these settings: it says so itself."""
    code, out, err = run("--check-config", env=pairs)
    assert code == 0, (pairs, err)
    return out


# The image and compose


def test_the_image():
    image = dockerfile()
    env = dict(pair.split("=", 1) for line in image["ENV"] for pair in line.split())
    assert set(env) <= variables() and settings(env)
    assert "CMD" not in image, "a flag of CMD is one that the health check does not know"
    assert image["USER"] == ["10001:10001"] and image["EXPOSE"] == ["8080"] and image["VOLUME"] == ["/data"]
    assert image["HEALTHCHECK"][0].endswith('CMD ["/usr/local/bin/carillon", "health"]')
    assert "syntax=" not in text("Dockerfile") and "<<" not in text("Dockerfile")


def test_key_mode_without_a_key_says_how_to_set_one():
    with Server("--host", "0.0.0.0", auth="key", tenants=False) as s:
        (line,) = [line for line in s.process.lines if "CARILLON_ADMIN_KEY" in line]
        assert "nobody can make tenants and keys" in line
        assert s.get("/events", "tenant_a").status == 401
    with Server("--host", "0.0.0.0", auth="key", tenants=False, env={"CARILLON_ADMIN_KEY": KEY}) as s:
        assert "CARILLON_ADMIN_KEY" not in s.process.output() and KEY not in s.process.output()
        assert s.get("/api/v1/tenants", headers={"Authorization": f"Bearer {KEY}"}).status == 200


COMPOSE = {"default": "carillon", "demo": "demo", "postgres": "carillon-postgres"}


def filled(value):
    """As compose would, where the variables are set; none has to be, for a file is filled in whole, whatever is started."""
    assert ":?" not in value
    return value.replace("${CARILLON_ADMIN_KEY}", KEY).replace("${POSTGRES_PASSWORD}", "secret")


@pytest.mark.parametrize("kind", COMPOSE)
def test_compose(kind):
    found = yaml.safe_load(text("compose.yaml"))["services"]
    server = found[COMPOSE[kind]]
    assert server.get("profiles") == (None if kind == "default" else [kind])
    env = {name: filled(value) for name, value in server["environment"].items()}
    assert set(env) <= variables() and settings({"CARILLON_HOST": "0.0.0.0", **env})
    assert (env.get("CARILLON_AUTH") == "open") == (kind == "demo")
    assert (env.get("CARILLON_ADMIN_KEY") == KEY) == (kind != "demo")
    assert re.fullmatch(r"127\.0\.0\.1:\d+:8080", *server["ports"])
    assert server["image"] == "carillon" and server["build"] == "."
    assert server["user"] == "10001:10001" and server["read_only"] is True and server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"] and server["ulimits"]["nofile"] >= 65536
    assert int(server["stop_grace_period"].rstrip("s")) >= drain_seconds({}) + 5
    if kind == "postgres":
        assert server["depends_on"] == {"postgres": {"condition": "service_healthy"}}
        assert found["postgres"]["profiles"] == ["postgres"] and found["postgres"]["healthcheck"]["test"]
        assert env["CARILLON_STORE"].startswith("postgres://")


def test_compose_may_start_all_at_once():
    ports = [port for s in yaml.safe_load(text("compose.yaml"))["services"].values() for port in s.get("ports", [])]
    assert len(ports) == len(set(ports)) == len(COMPOSE)


def drain_seconds(env):
    said = re.search(r"--drain-timeout[\s\S]*?[Dd]efault:? (\w+)", run("--help")[1])
    value = env.get("CARILLON_DRAIN_TIMEOUT") or said[1]
    return int(re.fullmatch(r"(\d+)s", value)[1])


# Kubernetes


@pytest.fixture(params=["base", "postgres"])
def objects(request, tmp_path):
    """As they are applied, with the secrets that whoever applies them has written."""
    folder = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, folder, ignore=shutil.ignore_patterns("*.env"))
    (folder / "base" / "admin-key.env").write_text(f"CARILLON_ADMIN_KEY={KEY}\n", encoding="utf-8")
    (folder / "postgres" / "store.env").write_text(f"CARILLON_STORE={URI}\n", encoding="utf-8")
    return request.param, folder / request.param, build(folder / request.param)


def parts(objects):
    spec = objects["StatefulSet", "carillon"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    env = {}
    for source in container["envFrom"]:
        env |= objects["Secret", source["secretRef"]["name"]]["stringData"]
    for pair in container["env"]:
        assert pair["name"] not in env, "what env says would hide the secret"
        env[pair["name"]] = pair.get("value") or container["resources"]["limits"][
            pair["valueFrom"]["resourceFieldRef"]["resource"].removeprefix("limits.")
        ]
    return spec, pod, container, env


def test_objects_are_of_the_api(objects):
    for obj in objects[2].values():
        check_object(obj)


def test_as_kubectl_builds_it(objects):
    """Where there is one that reads these files: the same names and the same pod."""
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("no kubectl here")
    done = subprocess.run([kubectl, "kustomize", objects[1]], capture_output=True, text=True, timeout=WAIT, check=False)
    assert done.returncode == 0, done.stderr
    theirs = {}
    for obj in yaml.safe_load_all(re.sub(r"(carillon-(?:admin|store))-\w{10}\b", r"\1", done.stdout)):
        theirs[obj["kind"], obj["metadata"]["name"]] = obj
    ours = objects[2]
    assert set(theirs) == set(ours)
    assert all(theirs[name] == ours[name] for name in ours if name[0] != "Secret")


def test_settings_are_the_servers(objects):
    kind, _, found = objects
    _, _, _, env = parts(found)
    assert set(env) <= variables() and env["CARILLON_ADMIN_KEY"] == KEY
    settings(env)
    assert env["CARILLON_STORE"] == (URI if kind == "postgres" else "sqlite:/data/carillon.db")


def test_ports_and_probes(objects):
    found = objects[2]
    _, _, container, env = parts(found)
    (port,) = container["ports"]
    assert port["containerPort"] == int(env.get("CARILLON_PORT", 8080)) == int(dockerfile()["EXPOSE"][0])
    (service,) = found["Service", "carillon"]["spec"]["ports"]
    (rule,) = found["NetworkPolicy", "carillon"]["spec"]["ingress"]
    assert service["targetPort"] == port["name"] == rule["ports"][0]["port"]
    with Server() as s:
        for name in ("startupProbe", "livenessProbe"):
            program, *words = container[name]["exec"]["command"]
            assert [program] == json.loads(dockerfile()["ENTRYPOINT"][0])
            assert run(*words, "--port", s.port, *(server_flags() if s.tls else ()))[0] == 0
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}
        assert s.get("/readyz").status == 200


def test_labels_meet(objects):
    found = objects[2]
    spec, pod, _, _ = parts(found)
    labels = spec["template"]["metadata"]["labels"]
    (spread,) = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    for selector in (
        spec["selector"]["matchLabels"],
        found["Service", "carillon"]["spec"]["selector"],
        found["NetworkPolicy", "carillon"]["spec"]["podSelector"]["matchLabels"],
        found["PodDisruptionBudget", "carillon"]["spec"]["selector"]["matchLabels"],
        spread["podAffinityTerm"]["labelSelector"]["matchLabels"],
    ):
        assert selector == labels
    assert spec["serviceName"] == "carillon"


def test_one_writer(objects):
    spec, _, _, _ = parts(objects[2])
    assert spec["replicas"] == 1
    assert objects[2]["PodDisruptionBudget", "carillon"]["spec"]["maxUnavailable"] == 1


def test_there_is_time_to_drain(objects):
    _, pod, container, env = parts(objects[2])
    word, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert word == "/bin/sleep" and os.access(word, os.X_OK)
    assert pod["terminationGracePeriodSeconds"] >= int(seconds) + drain_seconds(env) + 10


def test_restricted(objects):
    """Pod Security Standards, "Restricted", and what the image is."""
    kind, _, found = objects
    spec, pod, container, _ = parts(found)
    assert found["Namespace", "carillon"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    user, group = map(int, dockerfile()["USER"][0].split(":"))
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True and context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (user, group, group)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False, "CARILLON_PORT would be the service's"
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    if kind == "postgres":
        assert "volumeClaimTemplates" not in spec and "volumeMounts" not in container
    else:
        (claim,), (mount,) = spec["volumeClaimTemplates"], container["volumeMounts"]
        assert claim["metadata"]["name"] == mount["name"] and mount["mountPath"] == dockerfile()["VOLUME"][0]


def test_what_is_not_committed():
    ignored = text(".gitignore").split("\n")
    for path in ("base/admin-key.env", "postgres/store.env"):
        assert f"/tools/deploy/kubernetes/{path}" in ignored
    assert ".env" in ignored and ".env" in text(".dockerignore").split("\n")


# systemd


class Unit(configparser.RawConfigParser):
    """A unit's sections; a name that is there twice has both values, a line each."""

    class Many(dict):
        def __setitem__(self, key, value):
            if isinstance(value, list) and isinstance(self.get(key), list):
                self[key].extend(value)
            else:
                super().__setitem__(key, value)

    def __init__(self, path):
        super().__init__(strict=False, dict_type=self.Many, delimiters=("=",), interpolation=None)
        self.optionxform = str
        self.read(path, encoding="utf-8")


@pytest.fixture
def unit(tmp_path):
    """The unit with the program where it is here, which is looked at as well."""
    path = tmp_path / "carillon.service"
    path.write_text(text(UNIT).replace("/usr/local/bin/carillon\n", program("CARILLON_BIN") + "\n"), encoding="utf-8")
    return path


def analyze(*words):
    done = subprocess.run(
        ["systemd-analyze", *map(str, words)], capture_output=True, text=True, timeout=WAIT, check=False,
        env={**os.environ, "SYSTEMD_COLORS": "0", "LC_ALL": "C.UTF-8"},
    )
    return done.returncode, done.stdout + done.stderr


def test_systemd_knows_the_unit(unit):
    code, said = analyze("verify", "--man=no", unit)
    assert code == 0 and "carillon" not in said, said
    unit.write_text(unit.read_text(encoding="utf-8").replace("WatchdogSec", "WatchdogSeconds"), encoding="utf-8")
    assert "WatchdogSeconds" in analyze("verify", "--man=no", unit)[1], "a checker that cannot fail proves nothing"


def test_systemd_finds_it_safe(unit):
    """The exposure, of 0 (nothing) to 100; a service without any of the settings has 96. It has to speak to the world."""
    code, said = analyze("security", "--offline=true", "--threshold=12", unit)
    assert code == 0, said
    unit.write_text(unit.read_text(encoding="utf-8").replace("CapabilityBoundingSet=", "#"), encoding="utf-8")
    assert analyze("security", "--offline=true", "--threshold=12", unit)[0] != 0


def test_the_unit_says_what_the_program_does(unit):
    service = Unit(unit)["Service"]
    env = dict(line.split("=", 1) for line in service["Environment"].split("\n"))
    assert set(env) <= variables()
    settings({name: value.replace("%S", "/var/lib") for name, value in env.items()})
    assert f"%S/{service['StateDirectory']}/" in env["CARILLON_STORE"]
    assert service["Type"] == "notify" and service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert int(service["TimeoutStopSec"].rstrip("s")) >= drain_seconds({}) + 10
    assert service["CapabilityBoundingSet"] == ""
