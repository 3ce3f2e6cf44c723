"""What the stack of template.yaml would hold, for the parameters that it is given."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.nodes import SequenceNode

from lava_s3trigger.settings import Settings

ROOT: Final = Path(__file__).parents[1]
ACCOUNT: Final = "123456789012"
REGION: Final = "eu-west-1"
QUEUE_RIGHTS: Final = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}


class _Constructor(SafeConstructor):
    """Reads the short forms of CloudFormation's functions."""


def _function(constructor: _Constructor, name: str, node: Any) -> dict[str, Any]:
    value: Any
    if isinstance(node, SequenceNode):
        value = constructor.construct_sequence(node, deep=True)
    else:
        value = node.value.split(".", 1) if name == "GetAtt" else node.value
    return {name if name == "Ref" else f"Fn::{name}": value}


_Constructor.add_multi_constructor("!", _function)


def _read(text: str) -> Any:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return yaml.load(text)


TEXT: Final = (ROOT / "template.yaml").read_text()
TEMPLATE: Final[dict[str, Any]] = _read(TEXT)
PARAMETERS: Final[dict[str, dict[str, Any]]] = TEMPLATE["Parameters"]


class Stack:
    """The template, its functions resolved as CloudFormation resolves them."""

    def __init__(self, partition: str = "aws", **parameters: str) -> None:
        assert parameters.keys() <= PARAMETERS.keys()
        self.arn = f"arn:{partition}:{{}}:eu-west-1:{ACCOUNT}:{{}}".format
        given = {"Realm": "demo", **parameters}
        self._values: dict[str, Any] = {
            "AWS::Partition": partition,
            "AWS::Region": REGION,
            "AWS::AccountId": ACCOUNT,
            "AWS::NoValue": None,
            "AWS::URLSuffix": "amazonaws.com",
        }
        for name, parameter in PARAMETERS.items():
            value = given[name] if name in given else str(parameter["Default"])
            is_list = parameter["Type"] == "CommaDelimitedList"
            self._values[name] = value.split(",") if is_list else value
        self.resources = self._section("Resources")
        self.outputs = self._section("Outputs")

    def __getitem__(self, logical_id: str) -> Any:
        return self.resources[logical_id]["Properties"]

    def of_type(self, kind: str) -> list[Any]:
        found = [each for each in self.resources.values() if each["Type"] == kind]
        return [each["Properties"] for each in found]

    def rights(self) -> set[tuple[str, str]]:
        """Each action that the role allows, with each resource."""
        [policy] = self["ExecutionRole"]["Policies"]
        statements = policy["PolicyDocument"]["Statement"]
        assert all(statement["Effect"] == "Allow" for statement in statements)
        return {
            (action, resource)
            for statement in statements
            for action in _listed(statement["Action"])
            for resource in _listed(statement["Resource"])
        }

    def accepts(self) -> bool:
        """Return whether the rules take the parameters."""
        return all(
            self._resolve(each["Assert"])
            for rule in TEMPLATE["Rules"].values()
            if self._resolve(rule["RuleCondition"])
            for each in rule["Assertions"]
        )

    def invokers(self) -> set[tuple[str, str]]:
        """Each service that may invoke the function, with the ARN or the account it acts for."""
        return {
            (each["Principal"].removesuffix(".amazonaws.com"), source)
            for each in self.of_type("AWS::Lambda::Permission")
            for key, source in each.items()
            if key in {"SourceArn", "SourceAccount"}
        }

    def _section(self, name: str) -> dict[str, Any]:
        return {
            key: self._resolve(value)
            for key, value in TEMPLATE[name].items()
            if "Condition" not in value or self._holds(value["Condition"])
        }

    def _holds(self, condition: str) -> bool:
        return bool(self._resolve(TEMPLATE["Conditions"][condition]))

    def _resolve(self, node: Any) -> Any:
        if isinstance(node, list):
            values = [self._resolve(value) for value in node]
            return [value for value in values if value is not None]
        if not isinstance(node, dict):
            return node
        for name, argument in node.items():
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name, argument)
        resolved = {key: self._resolve(value) for key, value in node.items()}
        return {key: value for key, value in resolved.items() if value is not None}

    def _call(self, name: str, argument: Any) -> Any:
        if name == "Fn::If":
            condition, yes, no = argument
            return self._resolve(yes if self._holds(condition) else no)
        functions = {
            "Ref": lambda of: self._values[of] if of in self._values else self._name(of),
            "Fn::And": all,
            "Fn::Condition": self._holds,
            "Fn::Contains": lambda pair: pair[1] in pair[0],
            "Fn::Equals": lambda pair: pair[0] == pair[1],
            "Fn::FindInMap": lambda path: TEMPLATE["Mappings"][path[0]][path[1]][path[2]],
            "Fn::GetAtt": lambda path: self._attribute(*path),
            "Fn::Join": lambda pair: pair[0].join(pair[1]),
            "Fn::Not": lambda operands: not operands[0],
            "Fn::Or": any,
            "Fn::Select": lambda pair: pair[1][pair[0]],
            "Fn::Split": lambda pair: pair[1].split(pair[0]),
            "Fn::Sub": self._substitute,
        }
        return functions[name](self._resolve(argument))

    def _substitute(self, argument: str | list[Any]) -> str:
        text, local = (argument, {}) if isinstance(argument, str) else argument
        known = {**self._values, **local}
        return re.sub(
            r"\$\{([^}]+)\}", lambda found: known.get(found[1]) or self._name(found[1]), text
        )

    def _name(self, logical_id: str) -> str:
        resource = TEMPLATE["Resources"][logical_id]
        named_by = {
            "AWS::DynamoDB::Table": "TableName",
            "AWS::Logs::LogGroup": "LogGroupName",
            "AWS::SQS::Queue": "QueueName",
            "AWS::Serverless::Function": "FunctionName",
        }.get(resource["Type"])
        return str(self._resolve(resource["Properties"][named_by])) if named_by else logical_id

    def _attribute(self, logical_id: str, attribute: str) -> str:
        resource = TEMPLATE["Resources"][logical_id]
        # CloudFormation refuses this too.
        assert "Condition" not in resource or self._holds(resource["Condition"]), logical_id
        name = self._name(logical_id)
        arns = {
            "AWS::DynamoDB::Table": self.arn("dynamodb", f"table/{name}"),
            "AWS::IAM::Role": self.arn("iam", f"role/{name}"),
            "AWS::SQS::Queue": self.arn("sqs", name),
            "AWS::Serverless::Function": self.arn("lambda", f"function:{name}"),
        }
        return {"Arn": arns[resource["Type"]], "QueueName": name}[attribute]


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


EVERYTHING: Final = {
    "AlarmEmail": "operations@example.com",
    "CreateDashboard": "true",
    "BackfillBuckets": "one,two.b",
    "CreateDedupTable": "true",
    "CreateIntake": "true",
    "IntakeMaxConcurrency": "5",
    "IntakeQueueArns": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:a,arn:aws:sqs:eu-west-1:{ACCOUNT}:b.fifo",
    "OtherAccount1": "111111111111",
    "OtherAccount2": "222222222222",
    "OtherAccount3": "333333333333",
    "PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    "QueuesKmsKeyArn": f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd",
    "Tracing": "true",
}


S3_RIGHTS: Final = ("GetObject", "GetObjectVersion", "ListBucket")


def parts_of_buckets(partition: str) -> list[str]:
    """Return the ARNs of the buckets of `EVERYTHING`, and of their objects."""
    names = EVERYTHING["BackfillBuckets"].split(",")
    return [f"arn:{partition}:s3:::{name}{rest}" for name in names for rest in ("", "/*")]


class TestParameters:
    def test_each_parameter_has_a_description_a_label_and_a_group(self) -> None:
        interface = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]
        grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
        labels = interface["ParameterLabels"]

        assert sorted(grouped) == sorted(PARAMETERS)
        assert all(group["Label"]["default"] for group in interface["ParameterGroups"])
        assert sorted(labels) == sorted(PARAMETERS)
        assert all(label["default"] for label in labels.values())
        assert all(parameter["Description"] for parameter in PARAMETERS.values())

    def test_only_the_realm_is_required(self) -> None:
        assert [name for name, each in PARAMETERS.items() if "Default" not in each] == ["Realm"]

    def test_each_pattern_allows_the_default_and_explains_itself(self) -> None:
        for name, parameter in PARAMETERS.items():
            if "AllowedPattern" in parameter and "Default" in parameter:
                assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"]), name
            if "AllowedPattern" in parameter:
                assert parameter["ConstraintDescription"], name

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Realm", "abc"),
            ("Realm", "a_realm_2_1"),
            ("FunctionName", "lava-demo-s3trigger-2"),
            ("BackfillBuckets", "my.bucket-1"),
            ("CacheTtl", "0"),
            ("CacheTtl", "1.5m"),
            ("DedupTtl", "2h"),
            ("OtherAccount1", ACCOUNT),
            ("DedupCacheSize", "0"),
            ("DedupCacheSize", "10000"),
            ("MemorySize", "256"),
            ("MemorySize", "512"),
            ("MemorySize", "1769"),
            ("MemorySize", "10240"),
            ("SqsMaxDelayMins", "0"),
            ("SqsMaxDelayMins", "15"),
            ("IntakeMaxReceiveCount", "5"),
            ("IntakeMaxReceiveCount", "1000"),
            ("IntakeMaxConcurrency", "2"),
            ("IntakeMaxConcurrency", "99"),
            ("IntakeMaxConcurrency", "1000"),
            ("IntakeQueueArns", f"arn:aws-cn:sqs:cn-north-1:{ACCOUNT}:in.fifo"),
            ("QueuesKmsKeyArn", f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/mrk-0a1b"),
            ("IntakeBatchSize", "1"),
            ("IntakeBatchSize", "10000"),
            ("IntakeBatchWindow", "0"),
            ("IntakeBatchWindow", "300"),
            ("AlarmTopicArn", f"arn:aws:sns:eu-west-1:{ACCOUNT}:lava-alarms"),
            ("AlarmEmail", "a.b+c@example.com"),
            ("AlarmAgeSeconds", "10"),
            ("AlarmErrors", "0"),
            ("RolePath", "/"),
            ("RolePath", "/lava/functions/"),
            ("PermissionsBoundaryArn", f"arn:aws:iam::{ACCOUNT}:policy/team/boundary"),
            ("PermissionsBoundaryArn", "arn:aws:iam::aws:policy/PowerUserAccess"),
        ],
    )
    def test_a_good_value_is_allowed(self, name: str, value: str) -> None:
        assert re.fullmatch(PARAMETERS[name]["AllowedPattern"], value)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Realm", "ab"),
            ("Realm", "abcdefghijkl"),
            ("Realm", "Demo"),
            ("Realm", "1demo"),
            ("Realm", "my-realm"),
            ("FunctionName", "arn:aws:lambda:eu-west-1:123456789012:function:f"),
            ("BackfillBuckets", "arn:aws:s3:::my-bucket"),
            ("BackfillBuckets", "s3://my-bucket"),
            ("BackfillBuckets", "*"),
            ("CacheTtl", "-1"),
            ("CacheTtl", "1 week"),
            ("CacheTtl", ""),
            ("OtherAccount2", "12345"),
            ("DedupCacheSize", "1.5"),
            ("DedupCacheSize", "-1"),
            ("DedupCacheSize", "1e3"),
            ("DedupCacheSize", ""),
            ("MemorySize", "128"),
            ("MemorySize", "255"),
            ("MemorySize", "512.5"),
            ("MemorySize", "10241"),
            ("SqsMaxDelayMins", "16"),
            ("SqsMaxDelayMins", "1.5"),
            ("IntakeMaxReceiveCount", "4"),
            ("IntakeMaxReceiveCount", "5.5"),
            ("IntakeMaxReceiveCount", "1001"),
            ("IntakeMaxConcurrency", "1"),
            ("IntakeMaxConcurrency", "1001"),
            ("IntakeQueueArns", "https://sqs.eu-west-1.amazonaws.com/123456789012/in"),
            ("IntakeQueueArns", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:*"),
            ("QueuesKmsKeyArn", "alias/lava-demo-user"),
            ("IntakeBatchSize", "0"),
            ("IntakeBatchSize", "10001"),
            ("IntakeBatchWindow", "301"),
            ("IntakeBatchWindow", "0.5"),
            ("AlarmTopicArn", f"arn:aws:sns:eu-west-1:{ACCOUNT}:lava.fifo"),
            ("AlarmTopicArn", "lava-alarms"),
            ("AlarmEmail", "operations"),
            ("AlarmAgeSeconds", "0"),
            ("AlarmLagSeconds", "1.5"),
            ("RolePath", "lava"),
            ("RolePath", "/lava"),
            ("PermissionsBoundaryArn", "boundary"),
        ],
    )
    def test_a_bad_value_is_refused(self, name: str, value: str) -> None:
        assert not re.fullmatch(PARAMETERS[name]["AllowedPattern"], value)

    def test_every_numeric_parameter_is_an_integer(self) -> None:
        # A parameter of the type Number takes fractions.
        for name, parameter in PARAMETERS.items():
            if parameter["Type"] == "Number":
                assert all(isinstance(each, int) for each in parameter["AllowedValues"]), name

    @pytest.mark.parametrize("value", ["0", "99999999"])
    def test_every_allowed_dedup_cache_size_is_accepted_by_the_settings(self, value: str) -> None:
        environment = Stack(DedupCacheSize=value)["Function"]["Environment"]["Variables"]

        assert Settings.from_env(environment).dedup_cache_size == int(value)

    def test_a_timeout_is_from_one_to_15_minutes(self) -> None:
        timeouts = PARAMETERS["Timeout"]["AllowedValues"]

        assert (min(timeouts), max(timeouts)) == (60, 900)


class TestFunction:
    def test_the_function_has_the_name_of_lavas_own(self) -> None:
        stack = Stack(Realm="my_realm")

        assert stack["Function"]["FunctionName"] == "lava-my_realm-s3trigger"
        assert stack["LogGroup"]["LogGroupName"] == "/aws/lambda/lava-my_realm-s3trigger"
        assert stack["DeadLetterQueue"]["QueueName"] == "lava-my_realm-s3trigger-dlq"

    def test_another_function_name_changes_all_derived_names(self) -> None:
        stack = Stack(FunctionName="mine")

        assert stack["Function"]["FunctionName"] == "mine"
        assert stack["LogGroup"]["LogGroupName"] == "/aws/lambda/mine"
        assert stack["DeadLetterQueue"]["QueueName"] == "mine-dlq"
        assert stack.outputs["LogGroupName"]["Value"] == "/aws/lambda/mine"
        assert ("logs:PutLogEvents", stack.arn("logs", "log-group:/aws/lambda/mine:*")) in (
            stack.rights()
        )
        assert ("sqs:SendMessage*", stack.arn("sqs", "mine-dlq")) in stack.rights()

    def test_the_handler_exists(self) -> None:
        module, _, name = Stack()["Function"]["Handler"].rpartition(".")

        assert callable(getattr(importlib.import_module(module), name))

    def test_the_function_is_built_by_make(self) -> None:
        make = [
            "make",
            "--dry-run",
            "--no-print-directory",
            "build-Function",
            "ARTIFACTS_DIR=/of/sam",
        ]
        recipe = subprocess.run(make, cwd=ROOT, check=True, capture_output=True, text=True).stdout

        assert TEMPLATE["Resources"]["Function"]["Metadata"]["BuildMethod"] == "makefile"
        assert recipe.splitlines()[-1].endswith(' "/of/sam"')

    def test_the_default_environment_equals_the_default_settings(self) -> None:
        environment = Stack()["Function"]["Environment"]["Variables"]

        assert Settings.from_env(environment) == Settings(
            realm="demo", dead_letter_queue="lava-demo-s3trigger-dlq"
        )

    def test_parameters_become_environment_variables(self) -> None:
        stack = Stack(
            CacheTtl="5m",
            CreateDedupTable="true",
            DedupCacheSize="7",
            DedupTtl="10",
            LogLevel="debug",
            Metrics="false",
            Mode="observe",
            SqsMaxDelayMins="3",
        )

        assert stack["Function"]["Environment"]["Variables"] == {
            "LAVA_REALM": "demo",
            "LOGLEVEL": "debug",
            "S3TRIGGER_CACHE_TTL": "5m",
            "S3TRIGGER_DEAD_LETTER_QUEUE": "lava-demo-s3trigger-dlq",
            "S3TRIGGER_DEDUP_CACHE_SIZE": "7",
            "S3TRIGGER_DEDUP_TABLE": "lava.demo.s3trigger-dedup",
            "S3TRIGGER_DEDUP_TTL": "10",
            "S3TRIGGER_METRICS": "false",
            "S3TRIGGER_MODE": "observe",
            "SQS_MAX_DELAY_MINS": "3",
        }

    @pytest.mark.parametrize("level", PARAMETERS["LogLevel"]["AllowedValues"])
    def test_every_allowed_log_level_is_accepted_by_the_settings(self, level: str) -> None:
        Settings.from_env(Stack(LogLevel=level)["Function"]["Environment"]["Variables"])

    def test_memory_and_timeout_are_parameters(self) -> None:
        function = Stack(Architecture="x86_64", MemorySize="256", Timeout="300")["Function"]

        assert function["Architectures"] == ["x86_64"]
        assert (function["MemorySize"], function["Timeout"]) == ("256", "300")

    def test_a_failed_asynchronous_event_is_retried_twice_and_then_dead_lettered(self) -> None:
        stack = Stack()

        assert stack["Function"]["EventInvokeConfig"] == {
            "MaximumEventAgeInSeconds": 6 * 3600,
            "MaximumRetryAttempts": 2,
        }
        assert stack["Function"]["DeadLetterQueue"] == {
            "Type": "SQS",
            "TargetArn": stack.arn("sqs", "lava-demo-s3trigger-dlq"),
        }

    def test_the_log_group_has_a_retention(self) -> None:
        stack = Stack(LogRetentionDays="7")

        assert stack["LogGroup"]["RetentionInDays"] == "7"
        assert stack["Function"]["LoggingConfig"]["LogGroup"] == stack["LogGroup"]["LogGroupName"]

    def test_an_existing_log_group_can_be_used(self) -> None:
        stack = Stack(CreateLogGroup="false")

        assert "LogGroup" not in stack.resources
        assert stack["Function"]["LoggingConfig"]["LogGroup"] == "/aws/lambda/lava-demo-s3trigger"


class TestLog:
    def test_the_log_is_in_json_and_lambda_drops_none_of_its_lines(self) -> None:
        assert Stack()["Function"]["LoggingConfig"]["LogFormat"] == "JSON"
        levels = {
            level: Stack(LogLevel=level)["Function"]["LoggingConfig"]["ApplicationLogLevel"]
            for level in PARAMETERS["LogLevel"]["AllowedValues"]
        }
        # The metrics are at INFO, whatever LOGLEVEL says.
        assert levels.pop("debug") == "DEBUG"
        assert set(levels.values()) == {"INFO"}

    def test_the_text_format_takes_no_level(self) -> None:
        # Lambda refuses one then.
        config = Stack(LogFormat="Text")["Function"]["LoggingConfig"]

        assert config["LogFormat"] == "Text"
        assert "ApplicationLogLevel" not in config

    def test_queries_are_saved_for_the_log_in_json(self) -> None:
        for stack in (Stack(), Stack(CreateLogGroup="false")):
            queries = stack.of_type("AWS::Logs::QueryDefinition")
            assert {each["Name"] for each in queries} == {
                "lava-demo-s3trigger/What became of an object",
                "lava-demo-s3trigger/What was not carried out",
                "lava-demo-s3trigger/Dispatches by job and hour",
                "lava-demo-s3trigger/Slowest triggers",
            }
            assert all(
                each["LogGroupNames"] == ["/aws/lambda/lava-demo-s3trigger"] for each in queries
            )
        for stack in (Stack(CreateQueries="false"), Stack(LogFormat="Text")):
            assert not stack.of_type("AWS::Logs::QueryDefinition")

    def test_metrics_can_be_turned_off(self) -> None:
        stack = Stack(**EVERYTHING | {"Metrics": "false"})

        assert stack["Function"]["Environment"]["Variables"]["S3TRIGGER_METRICS"] == "false"
        for mapping in stack.of_type("AWS::Lambda::EventSourceMapping"):
            assert "MetricsConfig" not in mapping

    def test_tracing_is_an_option(self) -> None:
        assert Stack()["Function"]["Tracing"] == "PassThrough"
        assert Stack(Tracing="true")["Function"]["Tracing"] == "Active"


class TestRole:
    def test_the_role_has_the_path_and_the_boundary_that_are_given(self) -> None:
        boundary = EVERYTHING["PermissionsBoundaryArn"]
        role = Stack(RolePath="/lava/", PermissionsBoundaryArn=boundary)["ExecutionRole"]

        assert (role["Path"], role["PermissionsBoundary"]) == ("/lava/", boundary)

    def test_without_them_it_has_neither(self) -> None:
        role = Stack()["ExecutionRole"]

        assert role["Path"] == "/"
        assert "PermissionsBoundary" not in role


class TestPermissions:
    def least(self, stack: Stack) -> set[tuple[str, str]]:
        """What the function cannot do without."""
        workers = stack.arn("sqs", "lava-demo-*")
        parked = stack.arn("sqs", "lava-demo-s3trigger-dlq")
        logs = stack.arn("logs", "log-group:/aws/lambda/lava-demo-s3trigger:*")
        keys = stack.arn("kms", "key/*")
        index = "table/lava.demo.s3triggers/index/s3trigger-index"
        return {
            ("logs:CreateLogStream", logs),
            ("logs:PutLogEvents", logs),
            ("dynamodb:Query", stack.arn("dynamodb", index)),
            ("dynamodb:GetItem", stack.arn("dynamodb", "table/lava.demo.jobs")),
            ("sqs:GetQueueUrl", workers),
            ("sqs:SendMessage*", workers),
            ("sqs:GetQueueUrl", parked),
            ("sqs:SendMessage*", parked),
            *((right, parked) for right in QUEUE_RIGHTS),
            ("kms:Decrypt", keys),
            ("kms:GenerateDataKey", keys),
        }

    def test_permissions_are_exactly_the_calls_of_the_code(self) -> None:
        stack = Stack()

        assert stack.rights() == self.least(stack)

    def test_permissions_grow_with_enabled_features_only(self) -> None:
        stack = Stack(**EVERYTHING)
        dedup = stack.arn("dynamodb", "table/lava.demo.s3trigger-dedup")
        read = [
            stack.arn("sqs", "lava-demo-s3trigger-intake"),
            *EVERYTHING["IntakeQueueArns"].split(","),
        ]

        assert stack.rights() - self.least(stack) == {
            *((right, queue) for right in QUEUE_RIGHTS for queue in read),
            *((f"s3:{right}", part) for right in S3_RIGHTS for part in parts_of_buckets("aws")),
            ("dynamodb:UpdateItem", dedup),
            ("kms:Decrypt", EVERYTHING["QueuesKmsKeyArn"]),
            ("kms:GenerateDataKey", EVERYTHING["QueuesKmsKeyArn"]),
            ("xray:PutTelemetryRecords", "*"),
            ("xray:PutTraceSegments", "*"),
        }

    @pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
    def test_objects_of_backfill_buckets_may_be_asked_for_in_every_partition(
        self, partition: str
    ) -> None:
        stack = Stack(partition, BackfillBuckets=EVERYTHING["BackfillBuckets"])

        assert stack.rights() - Stack(partition).rights() == {
            (f"s3:{right}", part) for right in S3_RIGHTS for part in parts_of_buckets(partition)
        }

    def test_permissions_end_at_the_realm(self) -> None:
        resources = {resource for _, resource in Stack(Realm="abc").rights()}
        arn = Stack().arn
        strangers = [
            arn("dynamodb", "table/lava.abcd.jobs"),
            arn("dynamodb", "table/lava.abc.connections"),
            arn("dynamodb", "table/lava.abcd.s3triggers/index/s3trigger-index"),
            arn("sqs", "lava-abcd-worker"),
            arn("sqs", "lava-abc_d-worker"),
            arn("sqs", "payments"),
            arn("logs", "log-group:/aws/lambda/lava-abcd-s3trigger:log-stream:x"),
        ]

        assert not [
            (stranger, resource)
            for stranger in strangers
            for resource in resources
            if fnmatchcase(stranger, resource)
        ]

    @pytest.mark.parametrize("sid", ["UseQueuesKey", "UseRealmKey"])
    def test_kms_keys_are_used_for_queues_alone(self, sid: str) -> None:
        condition = self.statement(Stack(**EVERYTHING), sid)["Condition"]
        service = condition["StringLike"]["kms:ViaService"]

        assert fnmatchcase("sqs.eu-west-1.amazonaws.com", service)
        assert not fnmatchcase("ssm.eu-west-1.amazonaws.com", service)

    def test_the_key_of_the_realm_is_allowed_by_its_alias(self) -> None:
        stack = Stack(Realm="my_realm")
        statement = self.statement(stack, "UseRealmKey")

        assert statement["Resource"] == stack.arn("kms", "key/*")
        assert statement["Condition"]["ForAnyValue:StringEquals"] == {
            "kms:ResourceAliases": "alias/lava-my_realm-user"
        }

    def statement(self, stack: Stack, sid: str) -> dict[str, Any]:
        """Return a statement of the role's policy."""
        [policy] = stack["ExecutionRole"]["Policies"]
        statements = policy["PolicyDocument"]["Statement"]
        [statement] = [each for each in statements if each["Sid"] == sid]
        assert isinstance(statement, dict)
        return statement

    def test_only_lambda_assumes_the_role(self) -> None:
        stack = Stack(**EVERYTHING)
        [trust] = stack["ExecutionRole"]["AssumeRolePolicyDocument"]["Statement"]

        assert len(stack.of_type("AWS::IAM::Role")) == 1
        assert "ManagedPolicyArns" not in stack["ExecutionRole"]
        assert "Policies" not in stack["Function"]
        assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
        assert stack["Function"]["Role"] == stack.outputs["RoleArn"]["Value"]

    def test_arns_are_in_the_partition_of_the_stack(self) -> None:
        stack = Stack(
            "aws-us-gov", CreateDedupTable="true", CreateIntake="true", BackfillBuckets="one"
        )

        assert all(resource.startswith("arn:aws-us-gov:") for _, resource in stack.rights())
        # Fn::Join takes no Sub as its delimiter, so that BackfillBuckets has each partition.
        others = [line for line in TEXT.splitlines() if "Buckets}" not in line]
        assert not any("arn:aws:" in line for line in others if "BackfillBuckets]" not in line)


class TestInvokers:
    def test_invokers_are_this_accounts_buckets_and_topics_and_the_realms_rules(self) -> None:
        stack = Stack()

        assert stack.invokers() == {
            ("events", stack.arn("events", "rule/lava.demo.*")),
            ("s3", ACCOUNT),
            ("sns", stack.arn("sns", "*")),
        }

    def test_invokers_can_be_the_realms_rules_alone(self) -> None:
        stack = Stack(AllowS3="false", AllowSns="false")

        assert stack.invokers() == {("events", stack.arn("events", "rule/lava.demo.*"))}

    @pytest.mark.parametrize("parameter", ["OtherAccount1", "OtherAccount2", "OtherAccount3"])
    def test_invokers_can_be_another_accounts_buckets_and_topics(self, parameter: str) -> None:
        other = Stack(**{parameter: "111111111111"})

        assert other.invokers() - Stack().invokers() == {
            ("s3", "111111111111"),
            ("sns", "arn:aws:sns:eu-west-1:111111111111:*"),
        }

    def test_invokers_are_never_every_account(self) -> None:
        for permission in Stack(**EVERYTHING).of_type("AWS::Lambda::Permission"):
            assert permission["FunctionName"] == "lava-demo-s3trigger"
            assert re.search(r"\b\d{12}\b", str(permission)), permission


class TestTriggersTable:
    def test_the_triggers_table_has_lavas_keys(self) -> None:
        table = Stack()["TriggersTable"]
        [index] = table["GlobalSecondaryIndexes"]

        assert table["TableName"] == "lava.demo.s3triggers"
        assert _keys(table) == {"HASH": "trigger_id"}
        assert index["IndexName"] == "s3trigger-index"
        assert _keys(index) == {"HASH": "bucket", "RANGE": "prefix"}
        assert index["Projection"] == {"ProjectionType": "ALL"}
        assert {
            each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]
        } == {"trigger_id": "S", "bucket": "S", "prefix": "S"}

    def test_the_triggers_table_outlives_the_stack_and_can_be_restored(self) -> None:
        resource = Stack().resources["TriggersTable"]

        assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
        assert resource["UpdateReplacePolicy"] == "Retain"
        assert resource["Properties"]["PointInTimeRecoverySpecification"] == {
            "PointInTimeRecoveryEnabled": True
        }
        assert resource["Properties"]["BillingMode"] == "PAY_PER_REQUEST"

    def test_an_existing_triggers_table_can_be_used(self) -> None:
        stack = Stack(CreateTriggersTable="false")

        assert not stack.of_type("AWS::DynamoDB::Table")
        assert stack.outputs["TriggersTableName"]["Value"] == "lava.demo.s3triggers"


class TestDedupTable:
    def test_is_not_made_unless_asked_for(self) -> None:
        stack = Stack()

        assert "DedupTable" not in stack.resources
        assert "DedupTableName" not in stack.outputs
        assert "S3TRIGGER_DEDUP_TABLE" not in stack["Function"]["Environment"]["Variables"]

    def test_items_of_the_dedup_table_expire(self) -> None:
        table = Stack(CreateDedupTable="true")["DedupTable"]

        assert table["TableName"] == "lava.demo.s3trigger-dedup"
        assert _keys(table) == {"HASH": "id"}
        assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
        assert table["BillingMode"] == "PAY_PER_REQUEST"


class TestDeadLetterQueue:
    def test_the_dead_letter_queue_keeps_messages_for_14_days(self) -> None:
        assert Stack()["DeadLetterQueue"]["MessageRetentionPeriod"] == 14 * 24 * 3600

    def test_the_dead_letter_queue_is_encrypted_by_sqs(self) -> None:
        queue = Stack()["DeadLetterQueue"]

        assert queue["SqsManagedSseEnabled"] is True
        assert "KmsMasterKeyId" not in queue

    def test_the_dead_letter_queue_can_use_the_worker_queues_key(self) -> None:
        queue = Stack(**EVERYTHING)["DeadLetterQueue"]

        assert queue["KmsMasterKeyId"] == EVERYTHING["QueuesKmsKeyArn"]
        assert "SqsManagedSseEnabled" not in queue

    def test_the_redrive_mapping_is_disabled(self) -> None:
        stack = Stack()

        assert stack.of_type("AWS::Lambda::EventSourceMapping") == [
            {
                "FunctionName": "lava-demo-s3trigger",
                "EventSourceArn": stack.arn("sqs", "lava-demo-s3trigger-dlq"),
                "Enabled": False,
                "BatchSize": 10,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "ScalingConfig": {"MaximumConcurrency": 2},
                "MetricsConfig": {"Metrics": ["EventCount"]},
            }
        ]
        assert stack.outputs["RedriveMappingId"]["Value"] == "RedriveMapping"

    def test_the_dead_letter_queue_accepts_only_this_accounts_topics_and_rules(self) -> None:
        stack = Stack()
        policy = stack["DeadLetterQueuePolicy"]
        statements = policy["PolicyDocument"]["Statement"]

        assert policy["Queues"] == ["lava-demo-s3trigger-dlq"]
        assert {each["Resource"] for each in statements} == {
            stack.arn("sqs", "lava-demo-s3trigger-dlq")
        }
        assert {
            each["Principal"]["Service"]: (each["Action"], each["Condition"]) for each in statements
        } == {
            "sns.amazonaws.com": (
                "sqs:SendMessage",
                {"ArnLike": {"aws:SourceArn": [f"arn:aws:sns:*:{ACCOUNT}:*"]}},
            ),
            "events.amazonaws.com": (
                "sqs:SendMessage",
                {"ArnLike": {"aws:SourceArn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/*"}},
            ),
        }

    def test_the_dead_letter_queue_accepts_the_topics_that_may_invoke_the_function(self) -> None:
        policy = Stack(**EVERYTHING)["DeadLetterQueuePolicy"]["PolicyDocument"]
        [sns] = [each for each in policy["Statement"] if each["Sid"] == "Sns"]

        assert sns["Condition"]["ArnLike"]["aws:SourceArn"][1:] == [
            f"arn:aws:sns:{REGION}:{account}:*"
            for account in ("111111111111", "222222222222", "333333333333")
        ]

    @pytest.mark.parametrize("name", ["", "mine"])
    def test_an_existing_dead_letter_queue_is_used_as_one_of_the_stacks(self, name: str) -> None:
        stack = Stack(FunctionName=name, CreateDeadLetterQueue="false")
        created = Stack(FunctionName=name)
        queue = f"{name or 'lava-demo-s3trigger'}-dlq"
        url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{queue}"

        assert not stack.of_type("AWS::SQS::Queue")
        assert stack.outputs["DeadLetterQueueUrl"]["Value"] == url
        assert stack["DeadLetterQueuePolicy"]["Queues"] == [url]
        assert stack.rights() == created.rights()
        for each in ("Function", "RedriveMapping"):
            assert stack[each] == created[each]
        for each in ("DeadLetterQueueName", "DeadLetterQueueArn"):
            assert stack.outputs[each] == created.outputs[each]


class TestIntake:
    def test_is_not_made_unless_asked_for(self) -> None:
        stack = Stack()

        assert [queue["QueueName"] for queue in stack.of_type("AWS::SQS::Queue")] == [
            "lava-demo-s3trigger-dlq"
        ]
        assert not [name for name in stack.outputs if name.startswith("Intake")]

    def test_the_intake_reports_batch_item_failures(self) -> None:
        stack = Stack(CreateIntake="true")

        assert stack["IntakeQueue"]["QueueName"] == "lava-demo-s3trigger-intake"
        assert stack["IntakeMapping"] == {
            "FunctionName": "lava-demo-s3trigger",
            "EventSourceArn": stack.arn("sqs", "lava-demo-s3trigger-intake"),
            "BatchSize": "10",
            "MaximumBatchingWindowInSeconds": "0",
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "MetricsConfig": {"Metrics": ["EventCount"]},
        }

    @pytest.mark.parametrize(
        ("size", "window", "is_accepted"),
        [("10", "0", True), ("11", "0", False), ("1", "0", True), ("10000", "1", True)],
    )
    def test_a_large_batch_needs_a_window(
        self, size: str, window: str, *, is_accepted: bool
    ) -> None:
        # As Lambda has it, which would refuse it with the stack half made.
        stack = Stack(CreateIntake="true", IntakeBatchSize=size, IntakeBatchWindow=window)

        assert stack.accepts() is is_accepted
        assert stack["IntakeMapping"]["BatchSize"] == size
        assert stack["IntakeMapping"]["MaximumBatchingWindowInSeconds"] == window

    def test_the_concurrency_of_the_intake_can_be_limited(self) -> None:
        mapping = Stack(CreateIntake="true", IntakeMaxConcurrency="5")["IntakeMapping"]

        assert mapping["ScalingConfig"] == {"MaximumConcurrency": "5"}

    def test_the_intake_dead_letters_a_message_after_five_tries(self) -> None:
        stack = Stack(CreateIntake="true")

        assert stack["IntakeQueue"]["RedrivePolicy"] == {
            "deadLetterTargetArn": stack.arn("sqs", "lava-demo-s3trigger-intake-dlq"),
            "maxReceiveCount": "5",
        }
        assert stack["IntakeDeadLetterQueue"]["MessageRetentionPeriod"] == 14 * 24 * 3600

    def test_the_tries_of_the_intake_are_a_parameter(self) -> None:
        queue = Stack(CreateIntake="true", IntakeMaxReceiveCount="20")["IntakeQueue"]

        assert queue["RedrivePolicy"]["maxReceiveCount"] == "20"

    def test_the_intake_accepts_only_this_accounts_buckets_topics_and_rules(self) -> None:
        policy = Stack(CreateIntake="true")["IntakeQueuePolicy"]
        statements = policy["PolicyDocument"]["Statement"]

        assert policy["Queues"] == ["lava-demo-s3trigger-intake"]
        assert {
            each["Principal"]["Service"]: (each["Action"], each["Condition"]) for each in statements
        } == {
            "s3.amazonaws.com": (
                "sqs:SendMessage",
                {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
            ),
            "sns.amazonaws.com": (
                "sqs:SendMessage",
                {"ArnLike": {"aws:SourceArn": f"arn:aws:sns:*:{ACCOUNT}:*"}},
            ),
            "events.amazonaws.com": (
                "sqs:SendMessage",
                {"ArnLike": {"aws:SourceArn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/*"}},
            ),
        }

    def test_the_intake_is_encrypted_by_sqs_whatever_key_the_worker_queues_have(self) -> None:
        stack = Stack(**EVERYTHING)

        for name in ("IntakeQueue", "IntakeDeadLetterQueue"):
            assert stack[name]["SqsManagedSseEnabled"] is True
            assert "KmsMasterKeyId" not in stack[name]


class TestRealms:
    def test_realms_side_by_side_share_no_name(self) -> None:
        named = {f"{kind}Name" for kind in ("Alarm", "Dashboard", "Function", "LogGroup", "Queue")}
        named |= {"Name", "TableName"}
        names = [
            {
                each[name]
                for each in (resource["Properties"] for resource in stack.resources.values())
                for name in named
                if name in each and "EventSourceArn" not in each and "Action" not in each
            }
            for stack in (
                Stack(**EVERYTHING),
                Stack(**EVERYTHING, Realm="other"),
                Stack(Realm="demo2", AlarmEmail="a@b.example"),
            )
        ]

        assert all(len(each) >= 15 for each in names)
        assert not names[0] & names[1]
        assert not names[0] & names[2]


class TestStack:
    @pytest.mark.parametrize("timeout", PARAMETERS["Timeout"]["AllowedValues"])
    def test_the_visibility_timeout_is_six_times_the_function_timeout(self, timeout: int) -> None:
        stack = Stack(CreateIntake="true", Timeout=str(timeout))

        for queue in ("DeadLetterQueue", "IntakeQueue"):
            assert stack[queue]["VisibilityTimeout"] == 6 * timeout

    def test_resources_that_may_hold_events_or_entries_outlive_the_stack(self) -> None:
        stack = Stack(**EVERYTHING)
        kept = {
            name
            for name, resource in stack.resources.items()
            if resource.get("DeletionPolicy", "Delete") != "Delete"
        }

        assert kept == {
            "TriggersTable",
            "DeadLetterQueue",
            "DeadLetterQueuePolicy",
            "IntakeQueue",
            "IntakeDeadLetterQueue",
            "IntakeQueuePolicy",
        }
        for name in kept:
            # Retained even if its creation is rolled back, it would block the next deployment.
            assert stack.resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"
            assert stack.resources[name]["UpdateReplacePolicy"] == "Retain"

    def test_the_stack_has_no_resource_of_lavas_stack(self) -> None:
        stack = Stack(**EVERYTHING)

        assert {
            each.get("TableName") or each["QueueName"]
            for kind in ("AWS::DynamoDB::Table", "AWS::SQS::Queue")
            for each in stack.of_type(kind)
        } == {
            "lava.demo.s3triggers",
            "lava.demo.s3trigger-dedup",
            "lava-demo-s3trigger-dlq",
            "lava-demo-s3trigger-intake",
            "lava-demo-s3trigger-intake-dlq",
        }

    def test_resources_are_tagged_with_the_realm(self) -> None:
        untagged = {
            "AWS::CloudWatch::Dashboard",
            "AWS::Lambda::EventSourceMapping",
            "AWS::Lambda::Permission",
            "AWS::Logs::QueryDefinition",
            "AWS::SNS::Subscription",
            "AWS::SQS::QueuePolicy",
        }
        for name, resource in Stack(**EVERYTHING).resources.items():
            if resource["Type"] not in untagged:
                assert resource["Properties"]["Tags"] in (
                    {"lava:realm": "demo"},
                    [{"Key": "lava:realm", "Value": "demo"}],
                ), name

    def test_outputs_name_the_resources(self) -> None:
        outputs = {name: each["Value"] for name, each in Stack(**EVERYTHING).outputs.items()}
        sqs = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:"

        assert outputs == {
            "FunctionName": "lava-demo-s3trigger",
            "FunctionArn": f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:lava-demo-s3trigger",
            "RoleArn": f"arn:aws:iam:eu-west-1:{ACCOUNT}:role/ExecutionRole",
            "LogGroupName": "/aws/lambda/lava-demo-s3trigger",
            "TriggersTableName": "lava.demo.s3triggers",
            "DedupTableName": "lava.demo.s3trigger-dedup",
            "DeadLetterQueueName": "lava-demo-s3trigger-dlq",
            "DeadLetterQueueArn": f"{sqs}lava-demo-s3trigger-dlq",
            "DeadLetterQueueUrl": "lava-demo-s3trigger-dlq",
            "RedriveMappingId": "RedriveMapping",
            "IntakeQueueArn": f"{sqs}lava-demo-s3trigger-intake",
            "IntakeQueueUrl": "lava-demo-s3trigger-intake",
            "IntakeDeadLetterQueueUrl": "lava-demo-s3trigger-intake-dlq",
            "IntakeMappingId": "IntakeMapping",
            "AlarmTopicArn": "AlarmTopic",
        }

    def test_the_deployment_has_the_needed_capability(self) -> None:
        config = tomllib.loads((ROOT / "samconfig.toml").read_text())["default"]
        role = Stack()["ExecutionRole"]

        assert config["build"]["parameters"]["build_in_source"] is True
        assert config["deploy"]["parameters"]["capabilities"] == "CAPABILITY_IAM"
        # A role with a name of its own would take CAPABILITY_NAMED_IAM.
        assert "RoleName" not in role


def _keys(table_or_index: dict[str, Any]) -> dict[str, str]:
    return {each["KeyType"]: each["AttributeName"] for each in table_or_index["KeySchema"]}
