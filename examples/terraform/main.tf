# The function in a configuration of Terraform, from the files of a release. The stack stays
# CloudFormation's; Terraform creates, updates and deletes it.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "realm" {
  type        = string
  description = "Name of the lava realm."
}

variable "release" {
  type        = string
  description = "Folder with the files of the release."
}

variable "release_version" {
  type        = string
  description = "Version of the release, such as 1.2.3."
}

variable "code_bucket" {
  type        = string
  description = "Name of a bucket for the files, in the region of the stack."
}

locals {
  zip      = "s3trigger-${var.release_version}.zip"
  template = "lava-s3trigger-${var.release_version}.yaml"
}

data "aws_s3_bucket" "code" {
  bucket = var.code_bucket
}

resource "aws_s3_object" "zip" {
  bucket      = data.aws_s3_bucket.code.id
  key         = "lava-s3trigger/${local.zip}"
  source      = "${var.release}/${local.zip}"
  source_hash = filesha256("${var.release}/${local.zip}")
}

# Not template_body, which may have 51,200 bytes.
resource "aws_s3_object" "template" {
  bucket      = data.aws_s3_bucket.code.id
  key         = "lava-s3trigger/${local.template}"
  source      = "${var.release}/${local.template}"
  source_hash = filesha256("${var.release}/${local.template}")
}

resource "aws_cloudformation_stack" "s3trigger" {
  name         = "lava-${var.realm}-s3trigger"
  template_url = "https://${data.aws_s3_bucket.code.bucket_regional_domain_name}/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM"]

  parameters = {
    Realm      = var.realm
    CodeBucket = data.aws_s3_bucket.code.id
    CodeKey    = aws_s3_object.zip.key
  }
}

output "function_arn" {
  description = "For S3 event notifications, SNS subscriptions and EventBridge targets."
  value       = aws_cloudformation_stack.s3trigger.outputs["FunctionArn"]
}
