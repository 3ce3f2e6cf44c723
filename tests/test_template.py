"""What the stack of template.yaml would hold, for the parameters that it is given."""

import re
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


PARAMETER_VALUES: Final = {
    "AlarmAgeSeconds": (["10"], ["0"]),
    "AlarmEmail": (["a.b+c@example.com"], ["operations"]),
    "AlarmErrors": (["0"], []),
    "AlarmLagSeconds": (["60"], ["1.5"]),
    "AlarmThrottles": (["3"], []),
    "AlarmTopicArn": (
        [f"arn:aws:sns:eu-west-1:{ACCOUNT}:lava-alarms"],
        [f"arn:aws:sns:eu-west-1:{ACCOUNT}:lava.fifo", "lava-alarms"],
    ),
    "BackfillBuckets": (["my.bucket-1"], ["arn:aws:s3:::my-bucket", "s3://my-bucket", "*"]),
    "CacheTtl": (["0", "1.5m"], ["-1", "1 week", ""]),
    "DedupCacheSize": (["0", "10000", "99999999"], ["1.5", "-1", "1e3", ""]),
    "DedupTtl": (["2h"], []),
    "FunctionName": (["lava-demo-s3trigger-2"], [f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"]),
    "IntakeBatchSize": (["1", "10000"], ["0", "10001"]),
    "IntakeBatchWindow": (["0", "300"], ["301", "0.5"]),
    "IntakeMaxConcurrency": (["2", "99", "1000"], ["1", "1001"]),
    "IntakeMaxReceiveCount": (["5", "1000"], ["4", "5.5", "1001"]),
    "IntakeQueueArns": (
        [f"arn:aws-cn:sqs:cn-north-1:{ACCOUNT}:in.fifo"],
        [f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/in", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:*"],
    ),
    "MemorySize": (["256", "512", "1769", "10240"], ["128", "255", "512.5", "10241"]),
    "OtherAccount1": ([ACCOUNT], []),
    "OtherAccount2": ([ACCOUNT], ["12345"]),
    "OtherAccount3": ([ACCOUNT], []),
    "PermissionsBoundaryArn": (
        [f"arn:aws:iam::{ACCOUNT}:policy/team/boundary", "arn:aws:iam::aws:policy/PowerUserAccess"],
        ["boundary"],
    ),
    "QueuesKmsKeyArn": (
        [f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/mrk-0a1b"],
        ["alias/lava-demo-user"],
    ),
    "Realm": (["abc", "a_realm_2_1"], ["ab", "abcdefghijkl", "Demo", "1demo", "my-realm"]),
    "RolePath": (["/", "/lava/functions/"], ["lava", "/lava"]),
    "SqsMaxDelayMins": (["0", "15"], ["16", "1.5"]),
}
"""Values that the pattern of a parameter allows, and values that it refuses."""


class TestParameters:
    """What the console shows of parameters, and which values they take."""

    def test_each_parameter_has_a_label_and_a_group(self) -> None:
        interface = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]
        grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]

        assert sorted(grouped) == sorted(interface["ParameterLabels"]) == sorted(PARAMETERS)

    @pytest.mark.parametrize("name", PARAMETER_VALUES)
    def test_the_pattern_allows_good_values_only(self, name: str) -> None:
        pattern = PARAMETERS[name]["AllowedPattern"]
        good, bad = PARAMETER_VALUES[name]

        assert all(re.fullmatch(pattern, value) for value in good)
        assert not any(re.fullmatch(pattern, value) for value in bad)

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


FUNCTION: Final = "lava-demo-s3trigger"
QUEUE: Final = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}".format
FORTNIGHT: Final = 14 * 24 * 3600
KEY: Final = EVERYTHING["QueuesKmsKeyArn"]
EFFECTS: Final[list[tuple[dict[str, str], dict[str, Any]]]] = [
    (
        {},
        {
            "Function.FunctionName": FUNCTION,
            "Function.EventInvokeConfig.MaximumEventAgeInSeconds": 6 * 3600,
            "Function.EventInvokeConfig.MaximumRetryAttempts": 2,
            "Function.LoggingConfig.LogFormat": "JSON",
            "Function.LoggingConfig.LogGroup": f"/aws/lambda/{FUNCTION}",
            "LogGroup.LogGroupName": f"/aws/lambda/{FUNCTION}",
            "ExecutionRole.Path": "/",
            "ExecutionRole.PermissionsBoundary": None,
            "ExecutionRole.RoleName": None,  # which would need CAPABILITY_NAMED_IAM
            "TriggersTable.TableName": "lava.demo.s3triggers",
            "DeadLetterQueue.QueueName": f"{FUNCTION}-dlq",
            "DeadLetterQueue.MessageRetentionPeriod": FORTNIGHT,
            "DeadLetterQueue.SqsManagedSseEnabled": True,
            "DeadLetterQueue.KmsMasterKeyId": None,
            "RedriveMapping.Enabled": False,
            "RedriveMapping.ScalingConfig": {"MaximumConcurrency": 2},
            "DedupTable": None,
            "Outputs.DedupTableName": None,
            "IntakeQueue": None,
            "IntakeDeadLetterQueue": None,
            "IntakeMapping": None,
            "Outputs.IntakeQueueArn": None,
        },
    ),
    ({"Realm": "my_realm"}, {"Function.FunctionName": "lava-my_realm-s3trigger"}),
    (
        {"FunctionName": "mine"},
        {
            "Function.FunctionName": "mine",
            "Function.LoggingConfig.LogGroup": "/aws/lambda/mine",
            "LogGroup.LogGroupName": "/aws/lambda/mine",
            "Outputs.LogGroupName": "/aws/lambda/mine",
            "DeadLetterQueue.QueueName": "mine-dlq",
            "Function.DeadLetterQueue.TargetArn": QUEUE("mine-dlq"),
        },
    ),
    (
        {"CreateLogGroup": "false"},
        {"LogGroup": None, "Function.LoggingConfig.LogGroup": f"/aws/lambda/{FUNCTION}"},
    ),
    # Lambda refuses a level with this format.
    ({"LogFormat": "Text"}, {"Function.LoggingConfig.ApplicationLogLevel": None}),
    (
        {"CreateTriggersTable": "false"},
        {"TriggersTable": None, "Outputs.TriggersTableName": "lava.demo.s3triggers"},
    ),
    (
        {"CreateDedupTable": "true"},
        {
            "DedupTable.TableName": "lava.demo.s3trigger-dedup",
            "DedupTable.TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
        },
    ),
    (
        {"CreateIntake": "true", "QueuesKmsKeyArn": KEY},
        {
            "DeadLetterQueue.KmsMasterKeyId": KEY,
            "DeadLetterQueue.SqsManagedSseEnabled": None,
            # S3, SNS and EventBridge could not use the key of the worker queues.
            "IntakeQueue.SqsManagedSseEnabled": True,
            "IntakeQueue.KmsMasterKeyId": None,
            "IntakeDeadLetterQueue.SqsManagedSseEnabled": True,
            "IntakeDeadLetterQueue.KmsMasterKeyId": None,
        },
    ),
    (
        {"CreateIntake": "true"},
        {
            "IntakeQueue.QueueName": f"{FUNCTION}-intake",
            "IntakeQueue.RedrivePolicy": {
                "deadLetterTargetArn": QUEUE(f"{FUNCTION}-intake-dlq"),
                "maxReceiveCount": "5",
            },
            "IntakeDeadLetterQueue.MessageRetentionPeriod": FORTNIGHT,
            "IntakeMapping.ScalingConfig": None,
        },
    ),
]
"""Parameters, and what properties they give, by path. None: there is no such property."""


def at(stack: Stack, path: str) -> Any:
    """Return a property of a resource, or the value of an output."""
    logical_id, *names = path.split(".")
    if logical_id == "Outputs":
        return stack.outputs.get(names[0], {}).get("Value")
    value = stack.resources.get(logical_id, {}).get("Properties")
    for name in names:
        value = value.get(name) if value else None
    return value


class TestEffects:
    """What parameters change."""

    @pytest.mark.parametrize(
        ("parameters", "expected"), EFFECTS, ids=["-".join(each) for each, _ in EFFECTS]
    )
    def test_parameters_have_their_effect(
        self, parameters: dict[str, str], expected: dict[str, Any]
    ) -> None:
        stack = Stack(**parameters)

        assert {path: at(stack, path) for path in expected} == expected

    @pytest.mark.parametrize("name", PARAMETERS)
    def test_each_parameter_changes_the_stack(self, name: str) -> None:
        parameters = {"Realm": "demo", "AlarmTopicArn": "", **EVERYTHING}
        before = parameters.get(name, str(PARAMETERS[name].get("Default")))
        values = PARAMETERS[name].get("AllowedValues", PARAMETER_VALUES.get(name, [[]])[0])
        other = next(value for value in map(str, values) if value != before)

        assert Stack(**parameters | {name: other}).resources != Stack(**parameters).resources

    def test_the_default_environment_equals_the_default_settings(self) -> None:
        environment = Stack()["Function"]["Environment"]["Variables"]

        assert Settings.from_env(environment) == Settings(
            realm="demo", dead_letter_queue="lava-demo-s3trigger-dlq"
        )

    def test_parameters_become_environment_variables(self) -> None:
        parameters = {
            "CacheTtl": "5m",
            "DedupCacheSize": "99999999",
            "DedupTtl": "10",
            "LogLevel": "debug",
            "Metrics": "false",
            "Mode": "observe",
            "SqsMaxDelayMins": "3",
        }
        variables = Stack(CreateDedupTable="true", **parameters)["Function"]["Environment"]

        assert variables["Variables"] == {
            "LAVA_REALM": "demo",
            "LOGLEVEL": "debug",
            "S3TRIGGER_CACHE_TTL": "5m",
            "S3TRIGGER_DEAD_LETTER_QUEUE": "lava-demo-s3trigger-dlq",
            "S3TRIGGER_DEDUP_CACHE_SIZE": "99999999",
            "S3TRIGGER_DEDUP_TABLE": "lava.demo.s3trigger-dedup",
            "S3TRIGGER_DEDUP_TTL": "10",
            "S3TRIGGER_METRICS": "false",
            "S3TRIGGER_MODE": "observe",
            "SQS_MAX_DELAY_MINS": "3",
        }
        assert Settings.from_env(variables["Variables"]).dedup_cache_size == 99999999

    @pytest.mark.parametrize("level", PARAMETERS["LogLevel"]["AllowedValues"])
    def test_lambda_drops_no_line_of_any_log_level(self, level: str) -> None:
        function = Stack(LogLevel=level)["Function"]

        Settings.from_env(function["Environment"]["Variables"])
        # The metrics are at INFO, whatever LOGLEVEL says.
        expected = "DEBUG" if level == "debug" else "INFO"
        assert function["LoggingConfig"]["ApplicationLogLevel"] == expected

    @pytest.mark.parametrize(
        ("parameters", "number"),
        [
            ({}, 4),
            ({"CreateLogGroup": "false"}, 4),
            ({"CreateQueries": "false"}, 0),
            ({"LogFormat": "Text"}, 0),
        ],
    )
    def test_queries_are_saved_for_the_log_in_json(
        self, parameters: dict[str, str], number: int
    ) -> None:
        queries = Stack(**parameters).of_type("AWS::Logs::QueryDefinition")

        assert len(queries) == number
        for query in queries:
            assert query["Name"].startswith(f"{FUNCTION}/")
            assert query["LogGroupNames"] == [f"/aws/lambda/{FUNCTION}"]

    @pytest.mark.parametrize("timeout", PARAMETERS["Timeout"]["AllowedValues"])
    def test_the_visibility_timeout_is_six_timeouts_and_the_batch_window(
        self, timeout: int
    ) -> None:
        stack = Stack(CreateIntake="true", Timeout=str(timeout))

        assert 60 <= timeout <= 900
        for queue in ("DeadLetterQueue", "IntakeQueue"):
            assert stack[queue]["VisibilityTimeout"] == 6 * timeout

        batching = Stack(CreateIntake="true", Timeout=str(timeout), IntakeBatchWindow="300")
        assert batching["IntakeQueue"]["VisibilityTimeout"] == 6 * timeout + 300

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


class TestPermissions:
    """What the role may do."""

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

    @pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
    def test_permissions_grow_with_enabled_features_only(self, partition: str) -> None:
        stack = Stack(partition, **EVERYTHING)
        dedup = stack.arn("dynamodb", "table/lava.demo.s3trigger-dedup")
        read = [
            stack.arn("sqs", "lava-demo-s3trigger-intake"),
            *EVERYTHING["IntakeQueueArns"].split(","),
        ]
        buckets = [
            f"arn:{partition}:s3:::{name}{rest}"
            for name in EVERYTHING["BackfillBuckets"].split(",")
            for rest in ("", "/*")
        ]

        assert stack.rights() - self.least(stack) == {
            *((right, queue) for right in QUEUE_RIGHTS for queue in read),
            *((f"s3:{right}", part) for right in S3_RIGHTS for part in buckets),
            ("dynamodb:UpdateItem", dedup),
            ("kms:Decrypt", EVERYTHING["QueuesKmsKeyArn"]),
            ("kms:GenerateDataKey", EVERYTHING["QueuesKmsKeyArn"]),
            ("xray:PutTelemetryRecords", "*"),
            ("xray:PutTraceSegments", "*"),
        }

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

    def test_no_arn_names_a_partition(self) -> None:
        # Fn::Join takes no Sub as its delimiter, so that BackfillBuckets has each partition.
        others = [line for line in TEXT.splitlines() if "Buckets" not in line]
        assert not any("arn:aws:" in line for line in others)


OTHER: Final = "111111111111"
TOPICS: Final = "arn:aws:sns:eu-west-1:{}:*".format


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        pytest.param({}, {("s3", ACCOUNT), ("sns", TOPICS(ACCOUNT))}, id="this account"),
        pytest.param({"AllowS3": "false", "AllowSns": "false"}, set(), id="rules alone"),
        *(
            pytest.param(
                {f"OtherAccount{number}": OTHER},
                {("s3", each) for each in (ACCOUNT, OTHER)}
                | {("sns", TOPICS(each)) for each in (ACCOUNT, OTHER)},
                id=f"another account, {number}",
            )
            for number in (1, 2, 3)
        ),
    ],
)
def test_invokers_are_buckets_and_topics_and_the_realms_rules(
    parameters: dict[str, str], expected: set[tuple[str, str]]
) -> None:
    stack = Stack(**parameters)

    rules = ("events", stack.arn("events", "rule/lava.demo.*"))
    assert stack.invokers() == {rules, *expected}


FROM_SNS: Final = {"ArnLike": {"aws:SourceArn": [f"arn:aws:sns:*:{ACCOUNT}:*"]}}
FROM_EVENTS: Final = {"ArnLike": {"aws:SourceArn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/*"}}


class TestQueuePolicies:
    """Who may send to the queues of the stack."""

    def senders(self, stack: Stack, policy: str, queue: str) -> dict[str, Any]:
        """Return the condition of each service; it may only send, and to this queue only."""
        found = stack[policy]
        statements = found["PolicyDocument"]["Statement"]
        assert found["Queues"] == [queue]
        assert {each["Action"] for each in statements} == {"sqs:SendMessage"}
        assert {each["Resource"] for each in statements} <= {stack.arn("sqs", queue)}
        return {
            each["Principal"]["Service"].removesuffix(".amazonaws.com"): each["Condition"]
            for each in statements
        }

    def test_the_dead_letter_queue_accepts_only_this_accounts_topics_and_rules(self) -> None:
        senders = self.senders(Stack(), "DeadLetterQueuePolicy", f"{FUNCTION}-dlq")

        assert senders == {"sns": FROM_SNS, "events": FROM_EVENTS}

    def test_the_dead_letter_queue_accepts_the_topics_that_may_invoke_the_function(self) -> None:
        stack = Stack(**EVERYTHING)
        senders = self.senders(stack, "DeadLetterQueuePolicy", f"{FUNCTION}-dlq")

        assert senders["sns"]["ArnLike"]["aws:SourceArn"][1:] == [
            f"arn:aws:sns:{REGION}:{EVERYTHING[f'OtherAccount{number}']}:*" for number in (1, 2, 3)
        ]

    def test_the_intake_accepts_only_this_accounts_buckets_topics_and_rules(self) -> None:
        stack = Stack(CreateIntake="true")

        assert self.senders(stack, "IntakeQueuePolicy", f"{FUNCTION}-intake") == {
            "s3": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
            "sns": {"ArnLike": {"aws:SourceArn": f"arn:aws:sns:*:{ACCOUNT}:*"}},
            "events": FROM_EVENTS,
        }


class TestNamesAndRetention:
    """Names that two stacks never share, and what outlives a stack."""

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
            # Retained even if its creation is rolled back, it would block the next deployment. A
            # policy would not, and that of a queue that was there before must stay.
            expected = "Retain" if name == "DeadLetterQueuePolicy" else "RetainExceptOnCreate"
            assert stack.resources[name]["DeletionPolicy"] == expected
            assert stack.resources[name]["UpdateReplacePolicy"] == "Retain"

    def test_resources_are_tagged_with_the_realm(self) -> None:
        types = {
            *("AWS::CloudWatch::Alarm", "AWS::DynamoDB::Table", "AWS::IAM::Role"),
            *("AWS::Logs::LogGroup", "AWS::SNS::Topic", "AWS::SQS::Queue"),
            "AWS::Serverless::Function",
        }
        tags = {"lava:realm": "demo"}, [{"Key": "lava:realm", "Value": "demo"}]
        for name, resource in Stack(**EVERYTHING).resources.items():
            if resource["Type"] in types:
                assert resource["Properties"]["Tags"] in tags, name
