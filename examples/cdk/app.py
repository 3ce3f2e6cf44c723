"""The function in a stack of the AWS CDK, from the files of a release.

RELEASE=dist cdk deploy --app 'python3 app.py'
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_lambda
from aws_cdk import aws_s3_assets as assets
from aws_cdk import cloudformation_include as include
from constructs import Construct


class S3TriggerStack(cdk.Stack):
    """The stack of a release, with what else belongs to it."""

    def __init__(
        self, scope: Construct, construct_id: str, *, realm: str, release: Path, **options: Any
    ) -> None:
        super().__init__(scope, construct_id, **options)
        [code] = release.glob("s3trigger-*.zip")
        [template] = release.glob("lava-s3trigger-*.yaml")
        asset = assets.Asset(self, "Code", path=str(code))
        included = include.CfnInclude(
            self,
            "Release",
            template_file=str(template),
            parameters={
                "Realm": realm,
                "CodeBucket": asset.s3_bucket_name,
                "CodeKey": asset.s3_object_key,
            },
        )
        # To connect buckets of the same app: `bucket.add_event_notification`, and the like.
        function = included.get_resource("Function")
        self.function = aws_lambda.Function.from_function_attributes(
            self,
            "Imported",
            function_arn=function.get_att("Arn").to_string(),
            same_environment=True,
        )


app = cdk.App()
S3TriggerStack(
    app, "lava-myrealm-s3trigger", realm="myrealm", release=Path(os.environ.get("RELEASE", "."))
)
app.synth()
