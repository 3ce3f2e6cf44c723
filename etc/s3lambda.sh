#!/usr/bin/env bash
# Makes an S3 event for each object under some prefixes, and prints the events or
# invokes a Lambda function with them. Runs under bash 3.2, the version on macOS.

set -euo pipefail
shopt -s extglob

readonly program=${0##*/}

usage() {
    cat <<EOF
Usage: $program [options] bucket prefix ...

Makes an S3 event for each object under each prefix, like the event that S3 sends
when the object is put. Prints the events, or invokes a Lambda function with them.
Does not read or change the objects. Requires the AWS CLI, Python 3, and permission
to list the bucket (s3:ListBucket) and to invoke the function
(lambda:InvokeFunction).

A prefix is an S3 key prefix: "incoming" also matches "incoming-old/a.csv",
"incoming/" does not. "" matches the whole bucket.

    $program my-bucket incoming/ archive/2026-03-14/

Options:

  -h           Print this help; so does --help.

  -l lambda    Invoke this function (name or ARN) asynchronously. Without -l, print
               the payloads, one JSON document per line, and invoke nothing. Try
               without -l first:

                   $program my-bucket incoming/
                   $program -l lava-prod-s3trigger my-bucket incoming/

  -b size      Batch size: the maximum number of events in a payload. Default 5.
               A payload that is too large for Lambda is split.

                   $program -l lava-prod-s3trigger -b 50 my-bucket incoming/

  -s seconds   Pause between two invocations. Default 2. 0 means no pause.

                   $program -l lava-prod-s3trigger -s 0.5 my-bucket incoming/

  -g pattern   Select objects whose whole key matches this extended bash glob
               ("Pattern Matching" in the bash manual). * also matches /. Quote
               the pattern.

                   $program -g '*.@(csv|csv.gz)' my-bucket incoming/
                   $program -g '!(*/tmp/*)' my-bucket incoming/

  -z           Include objects of zero length. By default they are skipped, since
               most are folders that the S3 console created.

                   $program -z my-bucket incoming/

The region comes from AWS_REGION, AWS_DEFAULT_REGION or the AWS CLI's profile.
EOF
}

# Prints message $1, one line, and exits with status $2.
die() {
    printf '%s: %s\n' "$program" "$1" >&2
    exit "${2:-1}"
}

usage_error() {
    die "$1 (help: $program -h)" 2
}

# Runs the AWS CLI. $1: the beginning of the message if it fails; the rest: its arguments.
call_aws() {
    local failure=$1
    shift
    aws "$@" </dev/null 2>"$work/stderr" || die "$failure: $(reason)"
}

# Prints the AWS CLI's last error output as one line.
reason() {
    local text
    text=$(LC_ALL=C tr -s '[:space:]' ' ' <"$work/stderr")
    text=${text# }
    printf '%s' "${text% }"
}

# Appends the objects under prefix $1 to the file objects, one JSON document per line.
list_objects() {
    local request
    # As JSON, because the CLI reads an argument file://... as a file name.
    request=$(python3 -I -c 'import json, sys
print(json.dumps(dict(zip(("Bucket", "Prefix"), sys.argv[1:]))))' "$bucket" "$1")
    # The CLI requests all pages. It has S3 URL-encode the keys, since XML cannot hold
    # every key, and decodes them. [Contents][] is empty where Contents is absent.
    # to_string() returns ASCII JSON, in which no key can end the line.
    call_aws "cannot list $(printf '%q %q' "$bucket" "$1")" \
        s3api list-objects-v2 --region "$region" --cli-input-json "$request" \
        --query '[Contents][].[to_string(@)]' --output text >>"$work/objects"
}

# Removes the objects whose keys do not match the pattern from the file objects.
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
        # shellcheck disable=SC2053 # the right side is a pattern, so it must not be quoted
        if [[ $key == $pattern ]]; then
            printf '%s\n' "$object"
        fi
    done 3<"$work/keys" 4<"$work/objects" >"$work/selected"
    mv "$work/selected" "$work/objects"
}

# Writes the file payloads from the file objects, one payload per line.
make_payloads() {
    python3 -I - "$work/objects" "$bucket" "$region" "$batch_size" "$zero_length" \
        >"$work/payloads" <<'PYTHON'
import json
import sys
from datetime import datetime, timezone
from urllib.parse import quote_plus

# The maximum of an asynchronous invocation is 1 MB (256 KB until October 2025). AWS
# does not define the megabyte, so this is the smaller one.
MAX_PAYLOAD_BYTES = 1_000_000

path, bucket, region, batch_size, zero_length = sys.argv[1:]
partition = "aws"
if region.startswith("cn-"):
    partition = "aws-cn"
elif region.startswith("us-gov-"):
    partition = "aws-us-gov"


def record(found):
    """Return the S3 event record of an object that list-objects-v2 found."""
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
                # S3 form-encodes the key, except slashes.
                "key": quote_plus(found["Key"], safe="/"),
                "size": found["Size"],
                # Without quotes: those belong to the HTTP header.
                "eTag": found["ETag"].strip('"'),
                # Like S3's, it begins with the seconds since 1970.
                "sequencer": "%010X%08X" % (int(modified.timestamp()), modified.microsecond),
            },
        },
    }


def batches(records):
    """Yield the records of each payload."""
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
    selected = (item for item in found if item["Size"] > 0 or zero_length == "yes")
    texts = (json.dumps(record(item), separators=(",", ":")) for item in selected)
    for batch in batches(texts):
        print('{"Records":[' + ",".join(batch) + "]}")
PYTHON
}

# Invokes the function with each payload.
invoke() {
    local payload number=0 total function_error
    total=$(wc -l <"$work/payloads")
    total=${total//[[:space:]]/}
    while IFS= read -r payload <&3; do
        if ((number > 0)); then
            sleep "$pause"
        fi
        number=$((number + 1))
        # In a file, because an argument holds at most 128 KiB on Linux; by fileb://,
        # which versions 1 and 2 of the CLI send unchanged.
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
# getopts has no long options, but an option - with a value is one.
while getopts :hl:b:s:g:z-: option; do
    case $option in
        h)
            usage
            exit 0
            ;;
        # An empty name or pattern is most likely an unset variable of the caller.
        l)
            lambda=$OPTARG
            [[ -n $lambda ]] || usage_error "-l needs the name of a function"
            ;;
        b)
            batch_size=$OPTARG
            [[ $batch_size =~ ^0*[1-9][0-9]*$ ]] ||
                usage_error "-b needs a whole number above 0, not $(printf %q "$batch_size")"
            ;;
        s)
            pause=$OPTARG
            [[ $pause =~ ^[0-9]+(\.[0-9]+)?$ ]] ||
                usage_error "-s needs a number of seconds, such as 2 or 0.5, not $(printf %q "$pause")"
            ;;
        g)
            pattern=$OPTARG
            [[ -n $pattern ]] || usage_error "-g needs a pattern"
            ;;
        z) zero_length=yes ;;
        -)
            [[ $OPTARG == help ]] || usage_error "no such option: --$OPTARG"
            usage
            exit 0
            ;;
        :) usage_error "-$OPTARG needs a value" ;;
        *) usage_error "no such option: -$OPTARG" ;;
    esac
done
shift $((OPTIND - 1))
(($# >= 2)) || usage_error 'a bucket and a prefix are required ("" for the whole bucket)'
readonly lambda batch_size pause pattern zero_length bucket=$1
shift

command -v aws >/dev/null || die "aws is missing: install the AWS CLI"
command -v python3 >/dev/null || die "python3 is missing: install Python 3"

work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT

region=${AWS_REGION:-${AWS_DEFAULT_REGION:-}}
if [[ -z $region ]]; then
    # The CLI fails without a message where no region is set.
    region=$(aws configure get region </dev/null 2>"$work/stderr") || {
        cause=$(reason)
        die "no region: set AWS_REGION${cause:+ ($cause)}"
    }
fi
readonly region

# List everything before sending anything, so that nothing is sent if a listing fails.
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
