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
RECEIVE: Final = "sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage"
USE_KEY: Final = "kms:Decrypt kms:GenerateDataKey"


class _Constructor(SafeConstructor):
    """Reads the short forms of CloudFormation's functions."""

    def function(self, name: str, node: Any) -> dict[str, Any]:
        value: Any = node.value
        if isinstance(node, SequenceNode):
            value = self.construct_sequence(node, deep=True)
        elif name == "GetAtt":
            value = node.value.split(".", 1)
        return {name if name == "Ref" else f"Fn::{name}": value}


_Constructor.add_multi_constructor("!", _Constructor.function)


def _read(text: str) -> Any:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return yaml.load(text)


TEXT: Final = (ROOT / "template.yaml").read_text()
TEMPLATE: Final[dict[str, Any]] = _read(TEXT)
PARAMETERS: Final[dict[str, dict[str, Any]]] = TEMPLATE["Parameters"]
NAMES: Final = {
    "AWS::DynamoDB::Table": ("TableName", "dynamodb", "table/"),
    "AWS::IAM::Role": ("", "iam", "role/"),
    "AWS::Logs::LogGroup": ("LogGroupName", "", ""),
    "AWS::SQS::Queue": ("QueueName", "sqs", ""),
    "AWS::Serverless::Function": ("FunctionName", "lambda", "function:"),
}
"""By type: the property that is the name of a resource; what is before the name in its ARN."""


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

    def statements(self) -> dict[str, Any]:
        """The statements of the role's policy, by their names."""
        [policy] = self["ExecutionRole"]["Policies"]
        return {each["Sid"]: each for each in policy["PolicyDocument"]["Statement"]}

    def rights(self) -> set[tuple[str, str]]:
        """Each action that the role allows, with each resource."""
        statements = self.statements().values()
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
        named_by, _, _ = NAMES.get(resource["Type"], ("", "", ""))
        return str(self._resolve(resource["Properties"][named_by])) if named_by else logical_id

    def _attribute(self, logical_id: str, attribute: str) -> str:
        resource = TEMPLATE["Resources"][logical_id]
        # CloudFormation refuses this too.
        assert "Condition" not in resource or self._holds(resource["Condition"]), logical_id
        _, service, prefix = NAMES[resource["Type"]]
        name = self._name(logical_id)
        return {"Arn": self.arn(service, f"{prefix}{name}"), "QueueName": name}[attribute]


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
    **{f"OtherAccount{number}": str(number) * 12 for number in (1, 2, 3)},
    "PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    "QueuesKmsKeyArn": f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd",
    "Tracing": "true",
}
SNS: Final = f"arn:aws:sns:eu-west-1:{ACCOUNT}:{{}}".format
PARAMETER_VALUES: Final = {
    "AlarmAgeSeconds": ("10", "0"),
    "AlarmEmail": ("a.b+c@example.com", "operations"),
    "AlarmErrors": ("0", "-1"),
    "AlarmLagSeconds": ("60", "1.5"),
    "AlarmThrottles": ("3", "some"),
    "AlarmTopicArn": (SNS("lava-alarms"), f"{SNS('lava.fifo')},lava-alarms"),
    "BackfillBuckets": ("my.bucket-1", "arn:aws:s3:::my-bucket,s3://my-bucket,*"),
    "CacheTtl": ("0,1.5m", "-1,1 week,"),
    "DedupCacheSize": ("0,10000,99999999", "1.5,-1,1e3,"),
    "DedupTtl": ("2h", "2 h"),
    "FunctionName": ("lava-demo-s3trigger-2", f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"),
    "IntakeBatchSize": ("1,10000", "0,10001"),
    "IntakeBatchWindow": ("0,300", "301,0.5"),
    "IntakeMaxConcurrency": ("2,99,1000", "1,1001"),
    "IntakeMaxReceiveCount": ("5,1000", "4,5.5,1001"),
    "IntakeQueueArns": (
        f"arn:aws-cn:sqs:cn-north-1:{ACCOUNT}:in.fifo",
        f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/in,arn:aws:sqs:eu-west-1:{ACCOUNT}:*",
    ),
    "MemorySize": ("256,512,1769,10240", "128,255,512.5,10241"),
    **dict.fromkeys(["OtherAccount1", "OtherAccount2", "OtherAccount3"], (ACCOUNT, "12345")),
    "PermissionsBoundaryArn": (
        f"arn:aws:iam::{ACCOUNT}:policy/team/boundary,arn:aws:iam::aws:policy/PowerUserAccess",
        "boundary",
    ),
    "QueuesKmsKeyArn": (f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/mrk-0a1b", "alias/lava-demo-user"),
    "Realm": ("abc,a_realm_2_1", "ab,abcdefghijkl,Demo,1demo,my-realm"),
    "RolePath": ("/,/lava/functions/", "lava,/lava"),
    "SqsMaxDelayMins": ("0,15", "16,1.5"),
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
        good, bad = (values.split(",") for values in PARAMETER_VALUES[name])

        assert [value for value in good + bad if re.fullmatch(pattern, value)] == good

    @pytest.mark.parametrize(
        ("size", "window", "expected"),
        [("10", "0", True), ("11", "0", False), ("1", "0", True), ("10000", "1", True)],
    )
    def test_a_large_batch_needs_a_window(self, size: str, window: str, expected: object) -> None:
        # As Lambda has it, which would refuse it with the stack half made.
        stack = Stack(CreateIntake="true", IntakeBatchSize=size, IntakeBatchWindow=window)

        assert stack.accepts() is expected


FUNCTION: Final = "lava-demo-s3trigger"
QUEUE: Final = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}".format
INTAKE: Final = ("IntakeQueue", "IntakeDeadLetterQueue")
FORTNIGHT: Final = 14 * 24 * 3600
KEY: Final = EVERYTHING["QueuesKmsKeyArn"]
EFFECTS: Final[dict[str, dict[str, Any]]] = {
    "": {
        "Function.FunctionName": FUNCTION,
        "Function.EventInvokeConfig.MaximumEventAgeInSeconds": 6 * 3600,
        "Function.EventInvokeConfig.MaximumRetryAttempts": 2,
        "ExecutionRole.RoleName": None,  # which would need CAPABILITY_NAMED_IAM
        "TriggersTable.TableName": "lava.demo.s3triggers",
        "DeadLetterQueue.QueueName": f"{FUNCTION}-dlq",
        "DeadLetterQueue.MessageRetentionPeriod": FORTNIGHT,
        "DeadLetterQueue.SqsManagedSseEnabled": True,
        "DeadLetterQueue.KmsMasterKeyId": None,
        "RedriveMapping.Enabled": False,
        **dict.fromkeys(["DedupTable", "Outputs.DedupTableName", "Outputs.IntakeQueueArn"]),
        **dict.fromkeys([*INTAKE, "IntakeMapping"]),
    },
    "Realm=my_realm": {"Function.FunctionName": "lava-my_realm-s3trigger"},
    "FunctionName=mine": {
        "Function.FunctionName": "mine",
        **dict.fromkeys(["LogGroup.LogGroupName", "Outputs.LogGroupName"], "/aws/lambda/mine"),
        "Function.LoggingConfig.LogGroup": "/aws/lambda/mine",
        "DeadLetterQueue.QueueName": "mine-dlq",
        "Outputs.DeadLetterQueueName": "mine-dlq",
        "Function.DeadLetterQueue.TargetArn": QUEUE("mine-dlq"),
    },
    "CreateLogGroup=false": {
        "LogGroup": None,
        "Function.LoggingConfig.LogGroup": f"/aws/lambda/{FUNCTION}",
    },
    # Lambda refuses a level with this format.
    "LogFormat=Text": {"Function.LoggingConfig.ApplicationLogLevel": None},
    "CreateTriggersTable=false": {
        "TriggersTable": None,
        "Outputs.TriggersTableName": "lava.demo.s3triggers",
    },
    "CreateDedupTable=true LogLevel=debug Metrics=false": {
        "DedupTable.TableName": "lava.demo.s3trigger-dedup",
        "DedupTable.TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
        "Function.Environment.Variables.LOGLEVEL": "debug",
        "Function.Environment.Variables.S3TRIGGER_DEDUP_TABLE": "lava.demo.s3trigger-dedup",
        "Function.Environment.Variables.S3TRIGGER_METRICS": "false",
    },
    f"CreateIntake=true QueuesKmsKeyArn={KEY}": {
        "DeadLetterQueue.KmsMasterKeyId": KEY,
        "DeadLetterQueue.SqsManagedSseEnabled": None,
        # S3, SNS and EventBridge could not use the key of the worker queues.
        **dict.fromkeys([f"{name}.SqsManagedSseEnabled" for name in INTAKE], True),
        **dict.fromkeys([f"{name}.KmsMasterKeyId" for name in INTAKE]),
    },
    "CreateIntake=true": {
        "IntakeQueue.QueueName": f"{FUNCTION}-intake",
        "IntakeQueue.RedrivePolicy.deadLetterTargetArn": QUEUE(f"{FUNCTION}-intake-dlq"),
        "IntakeDeadLetterQueue.MessageRetentionPeriod": FORTNIGHT,
    },
}
"""Parameters, and what properties they give, by path. None: there is no such property."""


def at(stack: Stack, path: str) -> Any:
    """Return a resource or a property of one, or the value of an output."""
    logical_id, *names = path.split(".")
    if logical_id == "Outputs":
        return stack.outputs.get(names[0], {}).get("Value")
    value = stack.resources.get(logical_id, {}).get("Properties")
    for name in names:
        value = value.get(name) if value else None
    return value


class TestEffects:
    """What parameters change."""

    @pytest.mark.parametrize("parameters", EFFECTS)
    def test_parameters_have_their_effect(self, parameters: str) -> None:
        stack = Stack(**dict(each.split("=") for each in parameters.split()))

        expected = EFFECTS[parameters]
        assert {path: at(stack, path) for path in expected} == expected

    @pytest.mark.parametrize("name", PARAMETERS)
    def test_each_parameter_changes_the_stack(self, name: str) -> None:
        parameters = {"Realm": "demo", "AlarmTopicArn": "", **EVERYTHING}
        before = parameters.get(name, str(PARAMETERS[name].get("Default")))
        values = PARAMETERS[name].get("AllowedValues") or PARAMETER_VALUES[name][0].split(",")
        other = next(value for value in map(str, values) if value != before)

        assert Stack(**parameters | {name: other}).resources != Stack(**parameters).resources

    def test_the_default_environment_equals_the_default_settings(self) -> None:
        environment = Stack()["Function"]["Environment"]["Variables"]

        expected = Settings(realm="demo", dead_letter_queue="lava-demo-s3trigger-dlq")
        assert Settings.from_env(environment) == expected

    @pytest.mark.parametrize("level", PARAMETERS["LogLevel"]["AllowedValues"])
    def test_lambda_drops_no_line_of_any_log_level(self, level: str) -> None:
        function = Stack(LogLevel=level)["Function"]

        Settings.from_env(function["Environment"]["Variables"])
        # The metrics are at INFO, whatever LOGLEVEL says.
        expected = "DEBUG" if level == "debug" else "INFO"
        assert function["LoggingConfig"]["ApplicationLogLevel"] == expected

    @pytest.mark.parametrize(
        ("name", "value", "number"),
        [("CreateLogGroup", "false", 4), ("CreateQueries", "false", 0), ("LogFormat", "Text", 0)],
    )
    def test_queries_are_for_the_log_in_json(self, name: str, value: str, number: int) -> None:
        queries = Stack(**{name: value}).of_type("AWS::Logs::QueryDefinition")

        groups = [query["LogGroupNames"] for query in queries]
        assert groups == [[f"/aws/lambda/{FUNCTION}"]] * number

    @pytest.mark.parametrize("timeout", PARAMETERS["Timeout"]["AllowedValues"])
    @pytest.mark.parametrize("window", [0, 300])
    def test_the_visibility_timeout_is_six_timeouts_and_the_batch_window(
        self, timeout: int, window: int
    ) -> None:
        given = {"CreateIntake": "true", "IntakeBatchWindow": str(window)}
        stack = Stack(Timeout=str(timeout), **given)

        assert 60 <= timeout <= 900
        assert stack["DeadLetterQueue"]["VisibilityTimeout"] == 6 * timeout
        assert stack["IntakeQueue"]["VisibilityTimeout"] == 6 * timeout + window

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
        outputs = ("Outputs.DeadLetterQueueName", "Outputs.DeadLetterQueueArn")
        for path in ("Function", "RedriveMapping", *outputs):
            assert at(stack, path) == at(created, path) is not None


def rights(by_resource: dict[str, str]) -> set[tuple[str, str]]:
    """Return each action with its resource."""
    return {(each, arn) for arn, actions in by_resource.items() for each in actions.split()}


class TestPermissions:
    """What the role may do."""

    def least(self, stack: Stack) -> set[tuple[str, str]]:
        """What the function cannot do without."""
        index = "table/lava.demo.s3triggers/index/s3trigger-index"
        logs = "log-group:/aws/lambda/lava-demo-s3trigger:*"
        send = "sqs:GetQueueUrl sqs:SendMessage*"
        return rights(
            {
                stack.arn("logs", logs): "logs:CreateLogStream logs:PutLogEvents",
                stack.arn("dynamodb", index): "dynamodb:Query",
                stack.arn("dynamodb", "table/lava.demo.jobs"): "dynamodb:GetItem",
                stack.arn("sqs", "lava-demo-*"): send,
                stack.arn("sqs", "lava-demo-s3trigger-dlq"): f"{send} {RECEIVE}",
                stack.arn("kms", "key/*"): USE_KEY,
            }
        )

    def test_permissions_are_exactly_the_calls_of_the_code(self) -> None:
        stack = Stack()

        assert stack.rights() == self.least(stack)

    @pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
    def test_permissions_grow_with_enabled_features_only(self, partition: str) -> None:
        stack = Stack(partition, **EVERYTHING)
        intake = stack.arn("sqs", "lava-demo-s3trigger-intake")
        buckets = [f"arn:{partition}:s3:::{name}" for name in ("one", "two.b")]
        objects = [f"{bucket}/*" for bucket in buckets]

        assert stack.rights() - self.least(stack) == rights(
            {
                **dict.fromkeys([intake, *EVERYTHING["IntakeQueueArns"].split(",")], RECEIVE),
                **dict.fromkeys(
                    buckets + objects, "s3:GetObject s3:GetObjectVersion s3:ListBucket"
                ),
                stack.arn("dynamodb", "table/lava.demo.s3trigger-dedup"): "dynamodb:UpdateItem",
                KEY: USE_KEY,
                "*": "xray:PutTelemetryRecords xray:PutTraceSegments",
            }
        )

    @pytest.mark.parametrize("sid", ["UseQueuesKey", "UseRealmKey"])
    def test_kms_keys_are_used_for_queues_alone(self, sid: str) -> None:
        condition = Stack(**EVERYTHING).statements()[sid]["Condition"]
        service = condition["StringLike"]["kms:ViaService"]

        assert fnmatchcase("sqs.eu-west-1.amazonaws.com", service)
        assert not fnmatchcase("ssm.eu-west-1.amazonaws.com", service)

    def test_the_key_of_the_realm_is_allowed_by_its_alias(self) -> None:
        condition = Stack(Realm="my_realm").statements()["UseRealmKey"]["Condition"]

        assert condition["ForAnyValue:StringEquals"] == {
            "kms:ResourceAliases": "alias/lava-my_realm-user"
        }

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


@pytest.mark.parametrize(
    ("parameters", "accounts"),
    [
        ({}, [ACCOUNT]),
        ({"AllowS3": "false", "AllowSns": "false"}, []),
        *(({f"OtherAccount{number}": OTHER}, [ACCOUNT, OTHER]) for number in (1, 2, 3)),
    ],
    ids="-".join,
)
def test_invokers_are_buckets_and_topics_and_the_realms_rules(
    parameters: dict[str, str], accounts: list[str]
) -> None:
    stack = Stack(**parameters)

    assert stack.invokers() == {
        ("events", stack.arn("events", "rule/lava.demo.*")),
        *(("s3", account) for account in accounts),
        *(("sns", f"arn:aws:sns:eu-west-1:{account}:*") for account in accounts),
    }


def like(arns: Any) -> dict[str, Any]:
    """Return the condition of a sender whose ARN is like one of these."""
    return {"ArnLike": {"aws:SourceArn": arns}}


RULES: Final = like(f"arn:aws:events:{REGION}:{ACCOUNT}:rule/*")
TOPICS: Final = f"arn:aws:sns:*:{ACCOUNT}:*"
OTHERS: Final = [f"arn:aws:sns:{REGION}:{str(number) * 12}:*" for number in (1, 2, 3)]
BUCKETS: Final = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


@pytest.mark.parametrize(
    ("parameters", "queue", "senders"),
    [
        ({}, "dlq", {"sns": like([TOPICS]), "events": RULES}),
        (EVERYTHING, "dlq", {"sns": like([TOPICS, *OTHERS]), "events": RULES}),
        (EVERYTHING, "intake", {"s3": BUCKETS, "sns": like(TOPICS), "events": RULES}),
    ],
)
def test_queues_accept_only_this_accounts_senders_and_topics_that_may_invoke_the_function(
    parameters: dict[str, str], queue: str, senders: dict[str, Any]
) -> None:
    stack = Stack(**parameters)
    policy = stack["IntakeQueuePolicy" if queue == "intake" else "DeadLetterQueuePolicy"]
    statements = policy["PolicyDocument"]["Statement"]

    assert policy["Queues"] == [f"{FUNCTION}-{queue}"]
    rights = {(each["Action"], each["Resource"]) for each in statements}
    assert rights == {("sqs:SendMessage", stack.arn("sqs", f"{FUNCTION}-{queue}"))}
    services = [each["Principal"]["Service"].partition(".")[0] for each in statements]
    conditions = [each["Condition"] for each in statements]
    assert dict(zip(services, conditions, strict=True)) == senders


class TestNamesAndRetention:
    """Names that two stacks never share, and what outlives a stack."""

    def test_realms_side_by_side_share_no_name(self) -> None:
        kinds = ("", "Alarm", "Dashboard", "Function", "LogGroup", "Queue", "Table")
        named = {f"{kind}Name" for kind in kinds}
        names = [
            {
                resource["Properties"][name]
                for resource in stack.resources.values()
                if not resource["Type"].startswith("AWS::Lambda::")  # which name the function
                for name in named & resource["Properties"].keys()
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
            name: resource["DeletionPolicy"]
            for name, resource in stack.resources.items()
            if resource.get("DeletionPolicy", "Delete") != "Delete"
        }
        queues = ("DeadLetterQueue", "IntakeQueue", "IntakeDeadLetterQueue")

        # Retained even if its creation is rolled back, it would block the next deployment. A
        # policy would not, and that of a queue that was there before must stay.
        assert kept == {
            **dict.fromkeys(
                ("TriggersTable", "IntakeQueuePolicy", *queues), "RetainExceptOnCreate"
            ),
            "DeadLetterQueuePolicy": "Retain",
        }
        assert {stack.resources[name]["UpdateReplacePolicy"] for name in kept} == {"Retain"}

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
