#!/usr/bin/env bash
# Checks a deployed stack end to end, on the account that it is deployed to. Needs
# bash 4 and the AWS CLI; and lava-s3trigger, for the checks of its commands.

set -euo pipefail

readonly program=${0##*/}

usage() {
    cat <<EOF
Usage: $program [options] realm

Checks the s3trigger stack of a lava realm end to end. Makes a bucket, a worker
queue, an SNS topic, an EventBridge rule, and entries in the realm's tables s3triggers
and jobs, all with names that nothing else has. Sends events through the function and
looks at the dispatches and the parked messages. Prints a line PASS or FAIL for each
check. Removes at the end what it made, also after a failure or an interrupt.

Does not change entries, buckets, queues, topics or rules that it did not make. One
thing is shared: the redrive check enables the stack's redrive mapping for about a
minute. It therefore requires a dead-letter queue without messages of others.

    $program myrealm

Options:

  -h, --help          Print this help.

  -y, --yes           Do not ask before starting.

  -k, --keep          Keep what was made, and print the commands that remove it.

  --stack name        Name of the stack. Default lava-<realm>-s3trigger.

  --timeout seconds   Time to wait for each route and for the redrive. Default 480.
                      S3 takes about five minutes to begin to send to EventBridge.

  --no-redrive        Leave out the redrive check, and accept a dead-letter queue
                      with messages of others.

  --events folder     Save the dispatch of each route in this folder. Each contains
                      the S3 or EventBridge record as AWS sent it.

Credentials, profile, region and endpoint are those of the AWS CLI: AWS_PROFILE,
AWS_REGION, AWS_ENDPOINT_URL and so on. docs/first-deployment.md lists the permissions
that the script needs.

Exit status: 0 if all checks pass, 1 if a check fails or the script cannot start, 2 for
a wrong argument.
EOF
}

# Prints message $1 and exits with status $2.
die() {
    printf '%s: %s\n' "$program" "$1" >&2
    exit "${2:-1}"
}

usage_error() {
    die "$1 (help: $program --help)" 2
}

# The endpoint of SQS, if the environment sets one: version 1 of the CLI ignores it there.
sqs_endpoint=${AWS_ENDPOINT_URL_SQS:-${AWS_ENDPOINT_URL:-}}

aws() {
    if [[ $1 == sqs && -n $sqs_endpoint ]]; then
        command aws --endpoint-url "$sqs_endpoint" "$@"
    else
        command aws "$@"
    fi
}

# Runs the AWS CLI. Without a terminal as input, so that it never waits for a key.
call() {
    aws "$@" </dev/null 2>"$work/stderr"
}

# Prints the AWS CLI's last error output as one line.
reason() {
    local text
    text=$(LC_ALL=C tr -s '[:space:]' ' ' <"$work/stderr")
    text=${text# }
    printf '%s' "${text% }"
}

# Runs the AWS CLI; exits if it fails. $1: the beginning of the message.
need() {
    local what=$1
    shift
    call "$@" || die "$what: $(reason)"
}

# Repeats a command until it succeeds, for $1 seconds: what was just made may not be
# visible everywhere yet.
retry() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 3
    done
}

passed=0 failed=0

pass() {
    passed=$((passed + 1))
    printf 'PASS  %-18s %s\n' "$1" "$2"
}

fail() {
    failed=$((failed + 1))
    printf 'FAIL  %-18s %s\n' "$1" "$2"
}

# ---- What is made, and how it is removed.

removals=() # shell commands, in the order in which the things were made

# Notes the command that removes a thing, before the thing is made.
removal() {
    local word command=''
    for word; do
        # What this script makes has no single quote in it.
        [[ $word =~ ^[A-Za-z0-9_./:-]+$ ]] || word="'$word'"
        command+=" $word"
    done
    removals+=("${command# }")
}

# Removes what was made; prints what could not be removed.
clean_up() {
    local status=$? number left=0
    # From here on, nothing ends the script early: not a signal, not a closed output.
    trap '' INT TERM HUP PIPE
    trap - EXIT
    set +e
    if [[ -n ${mapping_touched:-} ]] && ! disable_mapping; then
        printf '%s: cannot disable the redrive mapping: %s\nDisable it: %s\n' "$program" \
            "$(reason)" "aws lambda update-event-source-mapping --uuid $mapping --no-enabled" >&2
        status=1
    fi
    if ((${#removals[@]} > 0)) && [[ $keep == yes ]]; then
        printf '\nKept, as are the parked messages in %s.\nTo remove the rest, run:\n\n' "$dlq_name"
        printf 'export AWS_DEFAULT_REGION=%q\n' "$region"
        for ((number = ${#removals[@]} - 1; number >= 0; number--)); do
            printf '%s\n' "${removals[number]}"
        done
    elif ((${#removals[@]} > 0)); then
        printf '\nRemoving what was made ...\n'
        for ((number = ${#removals[@]} - 1; number >= 0; number--)); do
            if ! retry 30 remove "${removals[number]}"; then
                left=$((left + 1))
                printf '%s: cannot remove: %s\nRun: %s\n' "$program" "$(reason)" \
                    "${removals[number]}" >&2
            fi
        done
        sweep_parked || left=$((left + 1))
        if ((left > 0)); then
            status=1
        else
            printf 'Removed everything.\n'
        fi
    fi
    rm -rf "$work"
    exit "$status"
}

# Runs the command $1 that removes a thing; a thing that is not there is removed.
remove() {
    eval "$1" </dev/null >/dev/null 2>"$work/stderr" ||
        grep -qE 'NoSuchBucket|NonExistentQueue|QueueDoesNotExist|ResourceNotFound|NotFound|does not exist' \
            "$work/stderr"
}

# Entries to put, and the requests that remove them, as JSON.
puts=() deletes=()

# Adds an entry to puts. $1: table; $2: name of its key; $3: its id; $4: its other fields.
add_entry() {
    # Protects an entry of somebody else, however unlikely, and allows a repetition.
    local mine="\"TableName\": \"$1\", \
\"ConditionExpression\": \"attribute_not_exists($2) OR #o = :o\", \
\"ExpressionAttributeNames\": {\"#o\": \"owner\"}, \
\"ExpressionAttributeValues\": {\":o\": {\"S\": \"$owner\"}}"
    puts+=("{\"Put\": {$mine, \"Item\": {\"$2\": {\"S\": \"$3\"}, \"owner\": {\"S\": \"$owner\"},
        \"description\": {\"S\": \"made by etc/smoke.sh; safe to delete\"},
        \"enabled\": {\"BOOL\": true}, $4}}}")
    deletes+=("{\"Delete\": {$mine, \"Key\": {\"$2\": {\"S\": \"$3\"}}}}")
}

# Adds the trigger smoke-<suffix>-$1. $2: job; $3: the template, as JSON; $4: more parameters.
add_trigger() {
    add_entry "$triggers_table" trigger_id "smoke-$suffix-$1" \
        "\"bucket\": {\"S\": \"$bucket\"}, \"prefix\": {\"S\": \"$1\"},
        \"job_id\": {\"S\": \"smoke-$suffix-$2\"},
        \"parameters\": {\"M\": {\"smoke\": {\"S\": \"$suffix $1 $3\"}${4:-}}}"
}

# Adds the job smoke-<suffix>-$1.
add_job() {
    add_entry "$jobs_table" job_id "smoke-$suffix-$1" "\"type\": {\"S\": \"exe\"},
        \"worker\": {\"S\": \"$worker\"}, \"payload\": {\"S\": \"true\"}"
}

# Puts the entries that were added: all of them, or none.
put_entries() {
    local IFS=,
    removal aws dynamodb transact-write-items --transact-items "[${deletes[*]}]"
    # lava's tables have one write unit a second, and a transaction may find none left.
    retry 60 call dynamodb transact-write-items --transact-items "[${puts[*]}]" >/dev/null ||
        return 1
    puts=() deletes=()
}

# ---- What the function did.

# Receives dispatches into the file dispatches, one per line. They stay in the queue,
# hidden, until the queue is removed.
collect() {
    local bodies
    bodies=$(call sqs receive-message --queue-url "$worker_queue" --max-number-of-messages 10 \
        --wait-time-seconds 1 --query 'Messages[].[Body]' --output text) || return 0
    if [[ -n $bodies && $bodies != None ]]; then
        printf '%s\n' "$bodies" >>"$work/dispatches"
    fi
}

# Prints the dispatches that contain the text $1. SQS may deliver one twice: sort -u.
dispatches() {
    grep -F -- "\"$suffix $1" "$work/dispatches" | sort -u || true
}

# Waits for a dispatch that contains the text $1, for $2 seconds.
wait_for_dispatch() {
    local deadline=$((SECONDS + $2))
    collect
    until [[ -n $(dispatches "$1") ]]; do
        ((SECONDS < deadline)) || return 1
        collect
    done
}

# Prints this run's message that the trigger smoke-<suffix>-$1 parked, if there is one.
parked() {
    call sqs receive-message --queue-url "$dlq" --max-number-of-messages 10 \
        --visibility-timeout 0 --output text \
        --query "Messages[?contains(Body, 'smoke-$suffix-$1\"')].[Body] | [0]"
}

# Waits for a parked message of the trigger smoke-<suffix>-$1 that contains the text $2.
check_parked() {
    local name=$3 deadline=$((SECONDS + wait)) message=None why
    until message=$(parked "$1") && [[ -n $message && $message != None ]]; do
        if ((SECONDS >= deadline)); then
            fail "$name" "nothing in $dlq_name after $wait s $(reason)"
            show_log
            return
        fi
        sleep 1
    done
    why=$(sed -nE 's/.*"reason": *"(([^"\\]|\\.)*)".*/\1/p' <<<"$message")
    if [[ -n $(dispatches "$1") ]]; then
        fail "$name" "parked, and dispatched as well: $why"
    elif [[ $message == *"$2"* ]]; then
        pass "$name" "parked: $why"
    else
        fail "$name" "parked for another reason: ${why:-$message}"
    fi
}

# Deletes this run's messages from the dead-letter queue, but those that contain $1.
# Hides the others for 20 seconds.
sweep_parked() {
    local handle mine kept found=yes
    while [[ $found == yes ]]; do
        found=no
        call sqs receive-message --queue-url "$dlq" --max-number-of-messages 10 \
            --visibility-timeout 20 --output text --query "Messages[].[ReceiptHandle,
            contains(Body, '$suffix'), contains(Body, '${1:-no such text}')]" \
            >"$work/received" || return 1
        while IFS=$'\t' read -r handle mine kept <&3; do
            if [[ $mine == True && $kept == False ]]; then
                found=yes
                call sqs delete-message --queue-url "$dlq" --receipt-handle="$handle" || return 1
            fi
        done 3<"$work/received"
    done
}

# Counts the messages of the dead-letter queue: visible, in flight, delayed.
count_parked() {
    local counts count sum=0
    counts=$(call sqs get-queue-attributes --queue-url "$dlq" --output text \
        --attribute-names ApproximateNumberOfMessages ApproximateNumberOfMessagesNotVisible \
        ApproximateNumberOfMessagesDelayed --query 'Attributes.*') || return 1
    for count in $counts; do
        sum=$((sum + count))
    done
    printf '%d' "$sum"
}

# Invokes the function with the event of an object. $1: its key, form-encoded.
# Writes the file error, which is empty if the function succeeded, and the file log.
invoke() {
    local answer
    printf '{"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "%s",
"eventTime": "2026-03-01T00:30:00.000Z", "eventName": "ObjectCreated:Put",
"requestParameters": {"sourceIPAddress": "127.0.0.1"},
"s3": {"s3SchemaVersion": "1.0", "configurationId": "smoke.sh", "bucket": {"name": "%s",
"arn": "arn:%s:s3:::%s"}, "object": {"key": "%s", "size": 4, "eTag": "smoke"}}}]}' \
        "$region" "$bucket" "$partition" "$bucket" "$1" >"$work/payload"
    : >"$work/log"
    if ! answer=$(call lambda invoke --function-name "$function" --payload "fileb://$work/payload" \
        --log-type Tail --cli-read-timeout 900 --output text \
        --query '[FunctionError, LogResult]' "$work/answer"); then
        reason >"$work/error"
        return 1
    fi
    base64 -d <<<"${answer##*$'\t'}" >"$work/log" 2>/dev/null || true
    if [[ ${answer%%$'\t'*} != None ]]; then
        head -c 600 "$work/answer" >"$work/error"
        return 1
    fi
    : >"$work/error"
}

# Prints what the log of the last invocation says.
show_log() {
    grep -E 'ERROR|WARN|failed|parked|mistake|skipped|summary|"level"|Task timed out' "$work/log" |
        tail -n 5 | sed 's/^/      log: /' || true
}

# ---- The checks.

# Direct invocation. $1: name of the trigger; $2: form-encoded key; $3: what the template
# must render to, as JSON; $4: name of the check.
check_invoke() {
    local count
    if ! invoke "$2"; then
        fail "$4" "the invocation failed: $(<"$work/error")"
        show_log
    elif ! wait_for_dispatch "$1 $3\"" "$wait"; then
        if [[ -n $(dispatches "$1 ") ]]; then
            fail "$4" "rendered otherwise: $(dispatches "$1 ")"
        else
            fail "$4" "no dispatch in $worker_queue_name after $wait s"
        fi
        show_log
    else
        count=$(dispatches "$1 " | wc -l)
        if ((count == 1)); then
            pass "$4" "1 dispatch: $3"
        else
            fail "$4" "$count dispatches where 1 was expected"
        fi
    fi
}

# $1: trigger; $2: text of the reason; $3: name of the check.
check_refused() {
    if invoke "$1/x"; then
        check_parked "$1" "$2" "$3"
    else
        fail "$3" "the invocation failed: $(<"$work/error")"
        show_log
    fi
}

# The entry of the command apply; then undoes it.
check_apply() {
    local name=apply saved
    if ! invoke apply/x || ! wait_for_dispatch 'apply apply/x"' "$wait"; then
        fail $name "no dispatch in $worker_queue_name after $wait s $(<"$work/error")"
        show_log
        return
    fi
    saved=$(echo "$work"/state/lava-s3trigger/apply-*.json)
    if ! apply --undo "$saved"; then
        fail $name "cannot undo it: $(reason)"
    elif ! call dynamodb get-item --table-name "$triggers_table" --consistent-read \
        --key "{\"trigger_id\": {\"S\": \"smoke-$suffix-apply\"}}" >"$work/item"; then
        fail $name "cannot read the entry: $(reason)"
    elif [[ -s $work/item ]]; then
        fail $name "the entry is still in $triggers_table after the undo"
    else
        pass $name "1 dispatch; the entry is removed by the undo"
    fi
}

lambda_configurations=() topic_configurations=() queue_configurations=() eventbridge=''

# Writes the bucket's notifications: those of the routes that are connected so far.
notify() {
    local IFS=,
    call s3api put-bucket-notification-configuration --bucket "$bucket" \
        --notification-configuration "{\
\"LambdaFunctionConfigurations\": [${lambda_configurations[*]-}], \
\"TopicConfigurations\": [${topic_configurations[*]-}], \
\"QueueConfigurations\": [${queue_configurations[*]-}]$eventbridge}"
}

# Prints a notification. $1: its route, which is the prefix; $2: name of the target; $3: its ARN.
notification() {
    printf '{"Id": "smoke-%s", "%s": "%s", "Events": ["s3:ObjectCreated:*"], "Filter":
        {"Key": {"FilterRules": [{"Name": "prefix", "Value": "%s/"}]}}}' "$1" "$2" "$3" "$1"
}

connect_s3() {
    lambda_configurations=("$(notification s3 LambdaFunctionArn "$function_arn")")
    retry 20 notify || {
        lambda_configurations=()
        return 1
    }
}

connect_sns() {
    local arn=arn:$partition:sns:$region:$account:$topic
    removal aws sns delete-topic --topic-arn "$arn"
    call sns create-topic --name "$topic" >/dev/null || return 1
    call sns set-topic-attributes --topic-arn "$arn" --attribute-name Policy --attribute-value \
        "{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\",
        \"Principal\": {\"Service\": \"s3.amazonaws.com\"}, \"Action\": \"sns:Publish\",
        \"Resource\": \"$arn\", \"Condition\": {
        \"StringEquals\": {\"aws:SourceAccount\": \"$account\"}}}]}" || return 1
    call sns subscribe --topic-arn "$arn" --protocol lambda \
        --notification-endpoint "$function_arn" >/dev/null || return 1
    topic_configurations=("$(notification sns TopicArn "$arn")")
    retry 20 notify || {
        topic_configurations=()
        return 1
    }
}

connect_sqs() {
    queue_configurations=("$(notification sqs QueueArn "$intake")")
    retry 20 notify || {
        queue_configurations=()
        return 1
    }
}

connect_eventbridge() {
    removal aws events delete-rule --name "$rule"
    removal aws events remove-targets --rule "$rule" --ids s3trigger
    call events put-rule --name "$rule" --event-pattern "{\"source\": [\"aws.s3\"],
        \"detail\": {\"bucket\": {\"name\": [\"$bucket\"]},
        \"object\": {\"key\": [{\"prefix\": \"eventbridge/\"}]}}}" >/dev/null || return 1
    call events put-targets --rule "$rule" --targets "Id=s3trigger,Arn=$function_arn" \
        --query '[FailedEntryCount, FailedEntries[0].ErrorMessage]' --output text \
        >"$work/targets" || return 1
    if ! grep -q ^0 "$work/targets"; then
        cp "$work/targets" "$work/stderr"
        return 1
    fi
    eventbridge=', "EventBridgeConfiguration": {}'
    retry 20 notify || {
        eventbridge=''
        return 1
    }
}

# Puts objects, and waits until a dispatch came by each route.
check_routes() {
    local route start number=0 next=0 line arrived
    local -A pending=()
    for route in "${routes[@]}"; do
        if "connect_$route"; then
            pending[$route]=yes
        else
            fail "route $route" "cannot connect: $(reason)"
        fi
    done
    start=$SECONDS
    while ((${#pending[@]} > 0 && SECONDS - start < timeout)); do
        # An event from before the notification took effect is never sent: put again.
        if ((SECONDS - start >= next)); then
            number=$((number + 1)) next=$((next + 60))
            for route in "${!pending[@]}"; do
                call s3api put-object --bucket "$bucket" --key "$route/object $number" \
                    --body "$work/body" >/dev/null || true
            done
        fi
        collect
        for route in "${!pending[@]}"; do
            line=$(dispatches "$route $route/object ")
            if [[ -n $line ]]; then
                unset "pending[$route]"
                arrived=$(sed -n 's/.*"'"$suffix $route"' \([^"]*\)".*/\1/p;q' <<<"$line")
                pass "route $route" "$arrived, after $((SECONDS - start)) s"
                if [[ -n $events ]]; then
                    head -n 1 <<<"$line" >"$events/$route.json"
                fi
            fi
        done
    done
    for route in "${!pending[@]}"; do
        fail "route $route" "no dispatch after $timeout s; objects put: $number"
        : >"$work/log"
        printf '      look at the log: aws logs filter-log-events --log-group-name %s %s\n' \
            "$log_group" "--filter-pattern '\"$bucket\"'"
    done
}

mapping_touched=''

disable_mapping() {
    # Lambda refuses the update while an earlier one is in progress.
    retry 180 call lambda update-event-source-mapping --uuid "$mapping" --no-enabled >/dev/null ||
        return 1
    mapping_touched=''
}

mapping_state() {
    call lambda get-event-source-mapping --uuid "$mapping" --query State --output text
}

check_redrive() {
    local name=redrive start message count deadline
    message=$(parked missing) || true
    if [[ -z $message || $message == None ]]; then
        fail $name "there is no parked message to give back"
        return
    fi
    add_job missing
    if ! put_entries; then
        fail $name "cannot create the missing job: $(reason)"
        return
    fi
    # What the bounds refused would stay. Only the message of the missing job goes back.
    if ! sweep_parked "smoke-$suffix-missing\""; then
        fail $name "cannot delete this run's other parked messages: $(reason)"
        return
    fi
    # SQS counts approximately, for about a minute.
    deadline=$((SECONDS + 90))
    until count=$(count_parked) && ((count == 1)); do
        if ((SECONDS >= deadline)); then
            fail $name "not tried: $dlq_name holds ${count:-?} messages, and one is this run's"
            return
        fi
        sleep 3
    done
    start=$SECONDS
    mapping_touched=yes
    if ! retry 30 call lambda update-event-source-mapping --uuid "$mapping" --enabled >/dev/null; then
        fail $name "cannot enable the redrive mapping: $(reason)"
        disable_mapping || true
        return
    fi
    if wait_for_dispatch "missing missing/x\"" "$timeout"; then
        deadline=$((SECONDS + 90))
        until count=$(count_parked) && ((count == 0)); do
            ((SECONDS < deadline)) || break
            sleep 3
        done
        collect
        if ((count > 0)); then
            fail $name "dispatched, but $dlq_name still holds $count messages"
        elif (($(dispatches 'missing ' | wc -l) != 1)); then
            fail $name "$(dispatches 'missing ' | wc -l) dispatches where 1 was expected"
        else
            pass $name "1 dispatch, $((SECONDS - start)) s after the mapping was enabled"
        fi
    else
        fail $name "no dispatch after $timeout s; the mapping is $(mapping_state || true)"
    fi
    if ! disable_mapping; then
        fail $name "cannot disable the redrive mapping: $(reason)"
    fi
}

# ---- Arguments.

realm='' stack='' timeout=480 keep=no yes=no redrive=yes events=''
while (($# > 0)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        -y | --yes) yes=yes ;;
        -k | --keep) keep=yes ;;
        --no-redrive) redrive=no ;;
        --stack | --timeout | --events)
            (($# >= 2)) && [[ -n $2 ]] || usage_error "$1 needs a value"
            case $1 in
                --stack) stack=$2 ;;
                --timeout)
                    [[ $2 =~ ^[1-9][0-9]{0,4}$ ]] ||
                        usage_error "--timeout needs a number of seconds, not $(printf %q "$2")"
                    timeout=$2
                    ;;
                --events) events=$2 ;;
            esac
            shift
            ;;
        -*) usage_error "no such option: $1" ;;
        *)
            [[ -z $realm ]] || usage_error "one realm, please: $realm or $(printf %q "$1")"
            realm=$1
            ;;
    esac
    shift
done
[[ -n $realm ]] || usage_error "which realm?"
# As the template has it. So the name needs no quoting below.
[[ $realm =~ ^[a-z][a-z0-9_]{2,10}$ ]] || usage_error "not a realm: $(printf %q "$realm")"
stack=${stack:-lava-$realm-s3trigger}
# What happens within an invocation is there at once; this is for the queues.
wait=$((timeout < 60 ? timeout : 60))
readonly realm stack timeout keep yes redrive events wait

[[ $yes == yes || -t 0 ]] || usage_error "no terminal to ask: use --yes"
((BASH_VERSINFO[0] >= 4)) || die "bash $BASH_VERSION is too old: this needs bash 4"
command -v aws >/dev/null || die "aws is missing: install the AWS CLI"
[[ -z $events || -d $events ]] || die "no such folder: $events"

export AWS_PAGER=''
work=$(mktemp -d)
readonly work
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
trap 'exit 141' PIPE
touch "$work/dispatches" "$work/log" "$work/error" "$work/stderr"
printf 'data' >"$work/body"

region=${AWS_REGION:-${AWS_DEFAULT_REGION:-}}
if [[ -z $region ]]; then
    region=$(call configure get region) || die "no region: set AWS_REGION $(reason)"
fi
readonly region
export AWS_REGION=$region AWS_DEFAULT_REGION=$region

# ---- The stack, and whether the checks can run.

# Runs in a subshell, whose exit does not end the script: hence the `|| exit`.
account=$(need "no access to AWS" sts get-caller-identity --query Account --output text) || exit
outputs=$(need "no stack $stack" cloudformation describe-stacks --stack-name "$stack" \
    --query 'Stacks[0].Outputs[].[OutputKey, OutputValue]' --output text) || exit

output() {
    sed -n "s/^$1"$'\t'"//p" <<<"$outputs"
}

function=$(output FunctionName) function_arn=$(output FunctionArn)
triggers_table=$(output TriggersTableName) jobs_table=lava.$realm.jobs
dlq=$(output DeadLetterQueueUrl) dlq_name=$(output DeadLetterQueueName)
mapping=$(output RedriveMappingId) intake=$(output IntakeQueueArn) log_group=$(output LogGroupName)
[[ $triggers_table == "lava.$realm.s3triggers" ]] ||
    die "stack $stack is not the s3trigger stack of realm $realm"
partition=${function_arn#arn:} partition=${partition%%:*}

settings=$(need "cannot read the settings of $function" lambda get-function-configuration \
    --function-name "$function" --output text \
    --query '[Runtime, Architectures[0], MemorySize, Timeout, State]') || exit

if [[ $redrive == yes ]]; then
    state=$(mapping_state) || die "cannot read the redrive mapping: $(reason)"
    [[ $state == Disabled ]] ||
        die "the redrive mapping is $state. Disable it first, or use --no-redrive."
    count=$(count_parked) || die "cannot read $dlq_name: $(reason)"
    ((count == 0)) || die "$dlq_name holds $count messages, which the redrive check would give \
back to the function. Redrive or delete them first, or use --no-redrive."
fi

# lava encrypts the queues of workers with this key.
key=alias/lava-$realm-user
aliases=$(need "cannot look for the key $key" kms list-aliases --output text \
    --query "Aliases[?AliasName == '$key'].AliasName") || exit
[[ $aliases == "$key" ]] || key=''

# ---- What will be made.

# Nobody has used these names. So no instance of the function has cached anything about
# them, and no check waits for S3TRIGGER_CACHE_TTL.
printf -v suffix '%x%04x' "$(date +%s)" "$RANDOM"
owner="etc/smoke.sh $suffix"
bucket=lava-${realm//_/-}-smoke-$account-$suffix
worker=smoke-$suffix worker_queue_name=lava-$realm-smoke-$suffix
topic=lava-$realm-smoke-$suffix rule=lava.$realm.smoke-$suffix
routes=(s3 sns)
[[ -z $intake ]] || routes+=(sqs)
routes+=(eventbridge)
readonly account outputs function function_arn triggers_table jobs_table dlq dlq_name mapping \
    intake log_group partition key suffix owner bucket worker worker_queue_name topic rule routes

cat <<EOF
Realm $realm, stack $stack, account $account, region $region
Function $function: ${settings//$'\t'/, }

This makes, and removes at the end:

  S3 bucket         $bucket
  SQS queue         $worker_queue_name${key:+ (encrypted with $key)}
  SNS topic         $topic
  EventBridge rule  $rule
  $(printf '%-17s' "$jobs_table") smoke-$suffix-run, smoke-$suffix-missing
  $triggers_table
                    smoke-$suffix-plain, -everyday, -long, -slow, -missing$(printf ', -%s' "${routes[@]}")

What to expect:

  plain             direct invocation; one dispatch, with every character of the key
  everyday          direct invocation; a regular expression, a date, a time zone
  bounds long       a template with too long a text: parked, with the reason
  bounds slow       a template that takes too long: parked after about one second
  missing job       a job that does not exist: parked, with the reason
EOF
if command -v lava-s3trigger >/dev/null; then
    echo "  apply             lava-s3trigger apply puts the entry smoke-$suffix-apply, and undoes it"
else
    echo "  apply             left out: lava-s3trigger is not installed here"
fi
for route in "${routes[@]}"; do
    case $route in
        s3) echo "  route s3          S3 invokes the function; seconds, at most a minute or two" ;;
        sns) echo "  route sns         S3 to SNS to the function; likewise" ;;
        sqs) echo "  route sqs         S3 to the intake queue; likewise" ;;
        eventbridge) echo "  route eventbridge S3 to EventBridge; about five minutes for a new bucket" ;;
    esac
done
if [[ $redrive == yes ]]; then
    cat <<EOF
  redrive           the missing job is created, and the redrive mapping enabled until the
                    parked message is dispatched: about a minute
EOF
fi
echo
if [[ $yes == no ]]; then
    read -r -p "Go on? [y/N] " answer || answer=''
    [[ $answer == [yY]* ]] || die "nothing was made"
fi

# ---- Make.

printf -v sqs 'aws%s sqs' "${sqs_endpoint:+ --endpoint-url $sqs_endpoint}"
removals+=("$sqs delete-queue --queue-url \"\$($sqs get-queue-url --queue-name $worker_queue_name --query QueueUrl --output text)\"")
encryption=SqsManagedSseEnabled=true
[[ -z $key ]] || encryption=KmsMasterKeyId=$key
# Hidden for an hour: each dispatch is received once.
worker_queue=$(need "cannot create queue $worker_queue_name" sqs create-queue \
    --queue-name "$worker_queue_name" --attributes "VisibilityTimeout=3600,$encryption" \
    --query QueueUrl --output text) || exit
readonly worker_queue

removal aws s3 rb --force "s3://$bucket"
need "cannot create bucket $bucket" s3 mb "s3://$bucket" >/dev/null

add_job run
add_trigger plain run '{{ key }}'
add_trigger everyday run "{{ utils.re.sub('^[a-z]+-([0-9]+)-([0-9]+)-([0-9]+)[.]csv\$', \
'\\\\1/\\\\2/\\\\3', utils.path.basename(key)) }} {{ \
(info.event_time - utils.timedelta(days=1)).strftime('%d %b %Y') }} {{ \
info.event_time.astimezone(utils.dateutil.tz.gettz('Australia/Sydney')).strftime('%H:%M') }}"
add_trigger long run "{{ 'x' * 100000 }}"
add_trigger slow run "{{ utils.re.match('(a+)+\$', 'a' * 40 ~ 'b') }}"
add_trigger missing missing '{{ key }}'
event=''
[[ -z $events ]] || event=', "event": {"S": "{{ event | tojson }}"}'
for route in "${routes[@]}"; do
    add_trigger "$route" run '{{ key }} {{ info.event_type }} {{ info.size }} B' "$event"
done
put_entries || die "cannot put entries into $jobs_table and $triggers_table: $(reason)"

# Puts the trigger smoke-<suffix>-apply with the command apply; before the function reads the
# bucket's entries, which it then caches.
apply_entry() {
    removal aws dynamodb delete-item --table-name "$triggers_table" \
        --key "{\"trigger_id\": {\"S\": \"smoke-$suffix-apply\"}}"
    cat >"$work/apply.json" <<EOF
{"trigger_id": "smoke-$suffix-apply", "bucket": "$bucket", "prefix": "apply", "enabled": true,
 "job_id": "smoke-$suffix-run", "parameters": {"smoke": "$suffix apply {{ key }}"},
 "owner": "$owner", "description": "made by etc/smoke.sh; safe to delete"}
EOF
    apply "$work/apply.json" --set "smoke-$suffix"
}

# Runs the command apply; keeps its messages.
apply() {
    XDG_STATE_HOME="$work/state" lava-s3trigger apply "$@" --realm "$realm" --function "$function" \
        --yes </dev/null >"$work/applied" 2>"$work/stderr"
}

# The index is eventually consistent, and so are the function's reads.
index_is_complete() {
    local count
    count=$(call dynamodb query --table-name "$triggers_table" --index-name s3trigger-index \
        --key-condition-expression '#bucket = :bucket' \
        --expression-attribute-names '{"#bucket": "bucket"}' \
        --expression-attribute-values "{\":bucket\": {\"S\": \"$bucket\"}}" \
        --select COUNT --query Count --output text) && ((count == 5 + ${#routes[@]} + applied))
}
applied=0
if command -v lava-s3trigger >/dev/null; then
    if apply_entry; then
        applied=1
    else
        fail apply "cannot put the entry: $(reason)"
    fi
fi
retry 60 index_is_complete ||
    die "the trigger entries do not appear in s3trigger-index of $triggers_table: $(reason)"

# ---- Check.

check_invoke plain 'plain/a+b%2Bc+%22q%22+%5C.txt' 'plain/a b+c \"q\" \\.txt' plain
check_invoke everyday everyday/orders-2026-03-14.csv '2026/03/14 28 Feb 2026 11:30' everyday
check_refused long characters 'bounds long'
check_refused slow 'longer than 1 s' 'bounds slow'
check_refused missing 'no job' 'missing job'
((applied == 0)) || check_apply
check_routes
[[ $redrive == no ]] || check_redrive

printf '\n%d checks: %d PASS, %d FAIL\n' $((passed + failed)) "$passed" "$failed"
((failed == 0))
