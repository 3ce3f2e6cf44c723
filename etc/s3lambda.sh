#!/usr/bin/env bash
# Makes an S3 event for each of the objects under some prefixes, and invokes a
# Lambda function with them, or prints them. Runs under bash 3.2, which macOS has.

set -euo pipefail
shopt -s extglob

readonly program=${0##*/}

usage() {
    cat <<EOF
Usage: $program [options] bucket prefix ...

Makes an S3 event for each object under each prefix, as S3 makes one when the
object is put, and prints the events, or invokes a Lambda function with them. The
objects themselves are not touched. The AWS CLI and Python 3 are needed, and the
right to list the bucket (s3:ListBucket) and to invoke the function
(lambda:InvokeFunction).

A prefix is what S3 calls one: "incoming" is also the beginning of
"incoming-old/a.csv", "incoming/" is not. "" is the whole bucket.

    $program my-bucket incoming/ archive/2026-03-14/

Options:

  -h           Print this help.

  -l lambda    Invoke this function (name or ARN), asynchronously. Without -l the
               payloads are printed, one JSON document a line, and nothing is
               invoked, so try this first:

                   $program my-bucket incoming/
                   $program -l lava-prod-s3trigger my-bucket incoming/

  -b size      Batch size: so many events in a payload, at most. Default 5. A
               payload that would be too big for Lambda is divided.

                   $program -l lava-prod-s3trigger -b 50 my-bucket incoming/

  -s seconds   Pause between two invocations. Default 2. 0 is none.

                   $program -l lava-prod-s3trigger -s 0.5 my-bucket incoming/

  -g pattern   Only objects whose whole key matches this extended glob of bash
               ("Pattern Matching" in its manual); * matches / too. Quote it.

                   $program -g '*.@(csv|csv.gz)' my-bucket incoming/
                   $program -g '!(*/tmp/*)' my-bucket incoming/

  -z           Objects of zero length, too. They are skipped otherwise: mostly they
               are the folders that the S3 console makes.

                   $program -z my-bucket incoming/

The region is that of AWS_REGION, AWS_DEFAULT_REGION or the AWS CLI's profile.
EOF
}

# $1: message, in one line; $2: exit status.
die() {
    printf '%s: %s\n' "$program" "$1" >&2
    exit "${2:-1}"
}

misused() {
    die "$1 (help: $program -h)" 2
}

# Runs the AWS CLI. $1: what cannot be done where it fails; the rest: its arguments.
call_aws() {
    local failure=$1
    shift
    aws "$@" </dev/null 2>"$work/stderr" || die "$failure: $(reason)"
}

# What the AWS CLI said last on stderr, in one line.
reason() {
    local said
    said=$(LC_ALL=C tr -s '[:space:]' ' ' <"$work/stderr")
    said=${said# }
    printf '%s' "${said% }"
}

# Adds the objects under prefix $1 to the file objects, one JSON document a line.
list_objects() {
    local request
    # As JSON, because the CLI takes an argument file://... for the name of a file.
    request=$(python3 -I -c 'import json, sys
print(json.dumps(dict(zip(("Bucket", "Prefix"), sys.argv[1:]))))' "$bucket" "$1")
    # The CLI asks for all pages, has S3 URL-encode the keys, which XML could not
    # always hold, and decodes them. [Contents][] is empty where Contents is absent.
    # to_string() makes ASCII JSON, where no key can break the line.
    call_aws "cannot list $(printf '%q %q' "$bucket" "$1")" \
        s3api list-objects-v2 --region "$region" --cli-input-json "$request" \
        --query '[Contents][].[to_string(@)]' --output text >>"$work/objects"
}

# Leaves in the file objects only those whose keys match the pattern.
select_objects() {
    local key object
    python3 -I - "$work/objects" >"$work/keys" <<'PYTHON'
import json
import sys

with open(sys.argv[1], encoding="ascii") as objects:
    for line in objects:
        key = json.loads(line)["Key"]
        if "\0" in key:
            sys.exit("s3lambda.sh: -g cannot match a key with a NUL in it: " + ascii(key))
        sys.stdout.buffer.write(key.encode() + b"\0")
PYTHON
    while IFS= read -r -d '' key <&3 && IFS= read -r object <&4; do
        # shellcheck disable=SC2053 # unquoted, the right side is a pattern, as is meant
        if [[ $key == $pattern ]]; then
            printf '%s\n' "$object"
        fi
    done 3<"$work/keys" 4<"$work/objects" >"$work/selected"
    mv "$work/selected" "$work/objects"
}

# Writes the file payloads, one a line, from the file objects.
make_payloads() {
    python3 -I - "$work/objects" "$bucket" "$region" "$batch_size" "$zero_length" \
        >"$work/payloads" <<'PYTHON'
import json
import sys
from datetime import datetime, timezone
from urllib.parse import quote_plus

# Lambda takes 1 MB in an asynchronous invocation (256 KB until October 2025). AWS
# does not say which megabyte, so the smaller one.
MAX_PAYLOAD_BYTES = 1_000_000

path, bucket, region, batch_size, zero_length = sys.argv[1:]
partition = "aws"
if region.startswith("cn-"):
    partition = "aws-cn"
elif region.startswith("us-gov-"):
    partition = "aws-us-gov"


def record(found):
    """The S3 event record for an object, as list-objects-v2 describes it."""
    modified = datetime.fromisoformat(found["LastModified"].replace("Z", "+00:00"))
    modified = modified.astimezone(timezone.utc)
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": modified.strftime("%Y-%m-%dT%H:%M:%S.")
        + "%03dZ" % (modified.microsecond // 1000),
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "s3lambda.sh"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "s3lambda.sh", "x-amz-id-2": "s3lambda.sh"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "s3lambda.sh",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": "s3lambda.sh"},
                "arn": "arn:%s:s3:::%s" % (partition, bucket),
            },
            "object": {
                # S3 form-encodes the key, and leaves the slashes.
                "key": quote_plus(found["Key"], safe="/"),
                "size": found["Size"],
                # Without the quotes, which belong to the HTTP header.
                "eTag": found["ETag"].strip('"'),
                # S3's begin with the seconds since 1970, too.
                "sequencer": "%010X%08X" % (int(modified.timestamp()), modified.microsecond),
            },
        },
    }


def batches(records):
    """The lists of records that make up a payload each."""
    batch, size = [], 0
    for text in records:
        full = len(batch) == int(batch_size)
        if batch and (full or size + len(",") + len(text) > MAX_PAYLOAD_BYTES):
            yield batch
            batch, size = [], 0
        size += len(text) + (len(",") if batch else len('{"Records":[]}'))
        batch.append(text)
    if batch:
        yield batch


with open(path, encoding="ascii") as objects:
    found = map(json.loads, objects)
    wanted = (each for each in found if each["Size"] > 0 or zero_length == "yes")
    texts = (json.dumps(record(each), separators=(",", ":")) for each in wanted)
    for batch in batches(texts):
        print('{"Records":[' + ",".join(batch) + "]}")
PYTHON
}

# Invokes the function with each of the payloads.
invoke() {
    local payload number=0 total function_error
    total=$(wc -l <"$work/payloads")
    total=${total//[[:space:]]/}
    while IFS= read -r payload <&3; do
        if ((number > 0)); then
            sleep "$pause"
        fi
        number=$((number + 1))
        # In a file, because an argument can hold 128 KiB on Linux; by fileb://,
        # which versions 1 and 2 of the CLI both send as it is.
        printf '%s' "$payload" >"$work/payload"
        function_error=$(
            call_aws "cannot invoke $lambda with payload $number of $total" \
                lambda invoke --region "$region" --function-name="$lambda" \
                --invocation-type Event --payload "fileb://$work/payload" \
                --query FunctionError --output text /dev/null
        )
        if [[ $function_error != None ]]; then
            die "function $lambda failed with payload $number of $total: $function_error"
        fi
        printf '%s: payload %d of %d accepted\n' "$lambda" "$number" "$total"
    done 3<"$work/payloads"
}

lambda='' batch_size=5 pause=2 pattern='' zero_length=no
while getopts :hl:b:s:g:z option; do
    case $option in
        h)
            usage
            exit 0
            ;;
        # An empty name or pattern is an unset variable of the caller's, most likely.
        l)
            lambda=$OPTARG
            [[ -n $lambda ]] || misused "-l needs the name of a function"
            ;;
        b)
            batch_size=$OPTARG
            [[ $batch_size =~ ^0*[1-9][0-9]*$ ]] ||
                misused "-b needs a whole number above 0, not $(printf %q "$batch_size")"
            ;;
        s)
            pause=$OPTARG
            [[ $pause =~ ^[0-9]+(\.[0-9]+)?$ ]] ||
                misused "-s needs a number of seconds, as 2 or 0.5, not $(printf %q "$pause")"
            ;;
        g)
            pattern=$OPTARG
            [[ -n $pattern ]] || misused "-g needs a pattern"
            ;;
        z) zero_length=yes ;;
        :) misused "-$OPTARG needs a value" ;;
        *) misused "no such option: -$OPTARG" ;;
    esac
done
shift $((OPTIND - 1))
(($# >= 2)) || misused 'a bucket and a prefix are needed, "" for the whole bucket'
readonly lambda batch_size pause pattern zero_length bucket=$1
shift

command -v aws >/dev/null || die "aws is missing: install the AWS CLI"
command -v python3 >/dev/null || die "python3 is missing: install Python 3"

work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT

region=${AWS_REGION:-${AWS_DEFAULT_REGION:-}}
if [[ -z $region ]]; then
    # Fails without a word where none is set.
    region=$(aws configure get region </dev/null 2>"$work/stderr") || {
        said=$(reason)
        die "the region is not known: set AWS_REGION${said:+ ($said)}"
    }
fi
readonly region

# Everything is listed before anything is sent, so where a listing fails, nothing is.
: >"$work/objects"
for prefix; do
    list_objects "$prefix"
done
if [[ -n $pattern ]]; then
    select_objects
fi
make_payloads
if [[ ! -s $work/payloads ]]; then
    printf '%s: no objects found\n' "$program" >&2
elif [[ -n $lambda ]]; then
    invoke
else
    cat "$work/payloads"
fi
