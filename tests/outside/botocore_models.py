#!/usr/bin/env python3
"""Drives the simulated AWS with boto3 and holds every answer against botocore's models.

    eks-bootstrap sandbox --seed tests/outside/seed.yaml -- python3 tests/outside/botocore_models.py

First every operation that botocore knows of the simulated services is asked for with made-up parameters: what is not refused by its name
(status 501) is simulated, and has to be driven below. Then each of them is called as it should be, and some as they should not. Of every answer the raw
body is compared with the model: members that the model does not have, types, required members, enumerations, forms of times, and for
errors whether the operation has that code or AWS documents it for all operations of the service.

Asks loopback only. Exit codes: 0 all fit, 1 something does not, 2 it cannot be tried here.
"""

import base64
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree

try:
    import boto3
    import botocore
    from botocore.config import Config
    from botocore.exceptions import ClientError
except ImportError:
    print("boto3 is not installed here: `python3 -m pip install boto3`, then again", file=sys.stderr)
    sys.exit(2)

SERVICES = ["iam", "sts", "eks", "ec2", "elbv2", "globalaccelerator", "resourcegroupstaggingapi"]

# Codes that AWS documents for every operation of a service, beside those in its model: the pages "Common Errors" of the API references, and
# for EC2 "Error codes for the Amazon EC2 API", since its model has none at all.
COMMON = {
    "AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InternalFailure",
    "InvalidAction", "InvalidClientTokenId", "InvalidParameterValue", "InvalidSignatureException", "MissingAction",
    "MissingAuthenticationToken", "NotAuthorized", "RequestExpired", "ServiceUnavailable", "SignatureDoesNotMatch", "Throttling",
    "ThrottlingException", "UnrecognizedClientException", "ValidationError",
}
OF_EC2 = {
    "AuthFailure", "FilterLimitExceeded", "InvalidGroup.NotFound", "InvalidInstanceID.Malformed", "InvalidInstanceID.NotFound",
    "InvalidParameterValue", "InvalidSubnetID.NotFound", "InvalidVolume.NotFound", "RequestLimitExceeded", "UnauthorizedOperation",
}

ISO = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$")
ACCOUNT, REGION, CLUSTER = "111122223333", "eu-west-1", "demo"
ISSUED_BY = "arn:aws:iam::aws:policy/"
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
RULES = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}]}


class Findings:
    """What does not fit, and what was seen."""

    def __init__(self):
        self.found, self.answers, self.succeeded = [], 0, set()

    def add(self, place, text):
        self.found.append(f"{place}: {text}")


def check_json(shape, value, place, findings):
    """A value of a JSON body against its shape."""
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            return findings.add(place, f"{value!r} is no structure")
        names = {member.serialization.get("name", name): (name, member) for name, member in shape.members.items()}
        for key, field in value.items():
            if key not in names:
                findings.add(place, f"the model has no member `{key}`")
            elif field is not None:
                check_json(names[key][1], field, f"{place}.{key}", findings)
        for key, (name, _) in names.items():
            if name in shape.required_members and value.get(key) is None:
                findings.add(place, f"the required member `{key}` is missing")
    elif kind == "list":
        if not isinstance(value, list):
            return findings.add(place, f"{value!r} is no list")
        for index, item in enumerate(value):
            check_json(shape.member, item, f"{place}[{index}]", findings)
    elif kind == "map":
        if not isinstance(value, dict):
            return findings.add(place, f"{value!r} is no map")
        for key, item in value.items():
            check_json(shape.value, item, f"{place}.{key}", findings)
    else:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = {
            "string": isinstance(value, str),
            "boolean": isinstance(value, bool),
            "integer": number and float(value).is_integer(),
            "long": number and float(value).is_integer(),
            "float": number,
            "double": number,
            "timestamp": number if shape.serialization.get("timestampFormat", "unixTimestamp") == "unixTimestamp" else bool(ISO.match(str(value))),
        }
        if kind not in fits:
            findings.add(place, f"this script does not know the type `{kind}`")
        elif not fits[kind]:
            findings.add(place, f"{value!r} is no {kind}")
        elif kind == "string":
            check_words(shape, value, place, findings)


# What AWS answers although its models have other values, as outputs in its own documentation show.
BESIDE_THE_MODEL = {("PermissionsBoundaryAttachmentType", "Policy"), ("PolicySourceType", "IAM Policy")}


def check_words(shape, value, place, findings):
    """Enumerations and lengths of a text."""
    if getattr(shape, "enum", None) and value not in shape.enum and (shape.name, value) not in BESIDE_THE_MODEL:
        findings.add(place, f"`{value}` is none of {', '.join(shape.enum)}")
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if (least is not None and len(value) < least) or (most is not None and len(value) > most):
        findings.add(place, f"`{value[:40]}` has {len(value)} characters, not {least} to {most}")


def tag(element):
    return element.tag.split("}", 1)[-1]


def check_xml(shape, element, place, findings, skip=()):
    """An element of an XML body against its shape."""
    kind = shape.type_name
    if kind == "structure":
        names, seen = {}, set()
        for name, member in shape.members.items():
            flat = member.type_name == "list" and member.serialization.get("flattened")
            inner = member.member.serialization.get("name") if flat else None
            names[inner or member.serialization.get("name", name)] = (name, member, flat)
        for child in element:
            key = tag(child)
            if key in skip:
                continue
            if key not in names:
                findings.add(place, f"the model has no member `{key}`")
                continue
            name, member, flat = names[key]
            if name in seen and not flat:
                findings.add(place, f"`{key}` is there twice")
            seen.add(name)
            check_xml(member.member if flat else member, child, f"{place}.{key}", findings)
        for name in shape.required_members:
            if name not in seen:
                findings.add(place, f"the required member `{name}` is missing")
    elif kind == "list":
        wanted = shape.member.serialization.get("name", "member")
        for index, child in enumerate(element):
            if tag(child) != wanted:
                findings.add(place, f"an item is called `{tag(child)}`, not `{wanted}`")
            check_xml(shape.member, child, f"{place}[{index}]", findings)
    elif kind == "map":
        for child in element:
            parts = {tag(part): part for part in child}
            key, value = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
            if tag(child) != "entry" or set(parts) != {key, value}:
                findings.add(place, f"no entry of a map: `{tag(child)}` with {sorted(parts)}")
            else:
                check_xml(shape.value, parts[value], f"{place}.{parts[key].text}", findings)
    else:
        text = element.text or ""
        if len(element):
            return findings.add(place, f"a {kind} with elements in it")
        fits = {
            "string": True,
            "boolean": text in ("true", "false"),
            "integer": bool(re.fullmatch(r"-?\d+", text)),
            "long": bool(re.fullmatch(r"-?\d+", text)),
            "timestamp": bool(ISO.match(text)),
        }
        if kind not in fits:
            findings.add(place, f"this script does not know the type `{kind}`")
        elif not fits[kind]:
            findings.add(place, f"`{text}` is no {kind}")
        elif kind == "string":
            check_words(shape, text, place, findings)


def check_success(model, body, place, findings):
    """The body of an answer with a status below 300."""
    protocol, shape = model.service_model.protocol, model.output_shape
    if protocol in ("json", "rest-json"):
        value = json.loads(body) if body.strip() else {}
        if shape is None:
            if value:
                findings.add(place, f"an answer where the model has none: {value}")
            return
        check_json(shape, value, place, findings)
        return
    root = ElementTree.fromstring(body)
    if tag(root) != f"{model.name}Response":
        findings.add(place, f"the answer is called `{tag(root)}`")
    if protocol == "ec2":
        if shape is None:
            return
        check_xml(shape, root, place, findings, skip=("requestId",))
        if not root.findtext("{*}requestId"):
            findings.add(place, "it has no requestId")
        return
    if not root.findtext("{*}ResponseMetadata/{*}RequestId"):
        findings.add(place, "it has no RequestId")
    rest = [child for child in root if tag(child) != "ResponseMetadata"]
    wrapper = shape.serialization.get("resultWrapper") if shape is not None else None
    for child in rest:
        if tag(child) != wrapper:
            findings.add(place, f"`{tag(child)}` where the model has {wrapper or 'nothing'}")
        else:
            check_xml(shape, child, place, findings)
    if wrapper and not rest and shape.members:
        findings.add(place, f"`{wrapper}` is missing")


def check_error(service, model, status, body, parsed, place, findings):
    """The body of an answer with a status from 400."""
    code = parsed.get("Error", {}).get("Code", "")
    known = {}
    for shape in model.error_shapes:
        known[shape.metadata.get("error", {}).get("code", shape.name)] = shape
        known[shape.name] = shape
    common = OF_EC2 if service == "ec2" else COMMON
    if code not in known and code not in common:
        findings.add(place, f"`{code}` ({status}) is an error neither of this operation nor of all")
    wanted = known[code].metadata.get("error", {}).get("httpStatusCode") if code in known else None
    if wanted and wanted != status:
        findings.add(place, f"`{code}` has status {wanted} in the model, not {status}")
    if not parsed.get("Error", {}).get("Message"):
        findings.add(place, f"`{code}` comes without a message")
    if not parsed.get("ResponseMetadata", {}).get("RequestId"):
        findings.add(place, f"`{code}` comes without a request id")
    if model.service_model.protocol in ("json", "rest-json") and code in known:
        value = json.loads(body)
        value.pop("__type", None)
        names = {member.serialization.get("name", name).lower(): member for name, member in known[code].members.items()}
        for key, field in value.items():
            if key.lower() == "message":
                continue
            if key.lower() not in names:
                findings.add(place, f"`{code}` has no member `{key}` in the model")
            else:
                check_json(names[key.lower()], field, f"{place}.{key}", findings)


def spoken(session):
    """Has botocore speak the protocols that the simulator speaks. The tagging API has two, and CBOR is not simulated."""
    loader = session._session.get_component("data_loader")
    about = loader.load_service_model("resourcegroupstaggingapi", "service-2", api_version=None)["metadata"]
    if "json" in about.get("protocols", ["json"]):
        about.update(protocol="json", protocols=["json"])


class Driver:
    """Calls operations and checks what comes back."""

    def __init__(self, findings):
        self.findings, self.clients, self.last = findings, {}, None
        session = boto3.Session()
        spoken(session)
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False, read_timeout=20, connect_timeout=5)
        for service in SERVICES:
            region = "us-west-2" if service == "globalaccelerator" else REGION
            client = session.client(service, region_name=region, config=config)
            client.meta.events.register("response-received", self.heard)
            self.clients[service] = client

    def heard(self, response_dict=None, parsed_response=None, **_):
        # None where no answer came.
        self.last = response_dict and (response_dict["status_code"], response_dict["body"], parsed_response)

    def model(self, service, operation):
        return self.clients[service].meta.service_model.operation_model(operation)

    def ask(self, service, operation, parameters):
        """The status and the parsed answer."""
        client = self.clients[service]
        method = {name: method for method, name in client.meta.method_to_api_mapping.items()}[operation]
        self.last = None
        try:
            getattr(client, method)(**parameters)
        except ClientError:
            pass
        if self.last is None:
            raise RuntimeError(f"{service}.{operation}: no answer")
        return self.last

    def call(self, service, operation, expect=None, **parameters):
        """Calls and checks; `expect` is the code of the error that has to come."""
        status, body, parsed = self.ask(service, operation, parameters)
        place, model, findings = f"{service}.{operation}", self.model(service, operation), self.findings
        findings.answers += 1
        if status < 300:
            check_success(model, body, place, findings)
            findings.succeeded.add((service, operation))
        else:
            check_error(service, model, status, body, parsed, place, findings)
        code = parsed.get("Error", {}).get("Code") if status >= 300 else None
        if code != expect:
            message = parsed.get("Error", {}).get("Message", "")
            findings.add(place, f"{code or 'a success'} where {expect or 'a success'} was expected: {message}")
        return parsed


def made_up(shape, depth=0):
    """The least that botocore can put on the wire for a shape."""
    kind = shape.type_name
    if kind == "structure":
        # A shape that holds itself ends somewhere.
        return {} if depth > 4 else {name: made_up(shape.members[name], depth + 1) for name in shape.required_members}
    if kind == "list":
        return [made_up(shape.member, depth + 1)] if depth <= 4 else []
    if kind == "map":
        return {}
    return {
        "string": "made-up-by-the-outside-check", "boolean": False, "integer": 1, "long": 1, "float": 1.0, "double": 1.0,
        "timestamp": 1.0, "blob": b"x",
    }[kind]


def simulated(driver):
    """Every operation that is not refused as one that is not simulated."""
    found = set()
    for service in SERVICES:
        for operation in driver.clients[service].meta.service_model.operation_names:
            shape = driver.model(service, operation).input_shape
            try:
                status, _, parsed = driver.ask(service, operation, made_up(shape) if shape is not None else {})
            except (ClientError, botocore.exceptions.BotoCoreError, RuntimeError, ValueError, KeyError) as error:
                driver.findings.add(f"{service}.{operation}", f"cannot be asked for: {error}")
                continue
            # A refusal of some parameters of an operation that is known has other words.
            unknown = re.search(rf"[a-z0-9]:{operation} is not simulated|^eks [A-Z]+ /", parsed.get("Error", {}).get("Message", ""))
            # botocore signs no call that brings its own proof, and the simulator refuses what is not signed before it looks at it.
            unsigned = parsed.get("Error", {}).get("Code") == "MissingAuthenticationToken"
            if not unsigned and (status != 501 or not unknown):
                found.add((service, operation))
    return found


def drive_iam(driver):
    call = lambda operation, expect=None, **parameters: driver.call("iam", operation, expect, **parameters)
    tags = [{"Key": "team", "Value": "platform"}]
    issuer = "https://oidc.example.com/id/OUTSIDE"
    provider = call("CreateOpenIDConnectProvider", Url=issuer, ClientIDList=["sts.amazonaws.com"], ThumbprintList=["0" * 40], Tags=tags)
    provider = {"OpenIDConnectProviderArn": provider["OpenIDConnectProviderArn"]}
    call("CreateOpenIDConnectProvider", "EntityAlreadyExists", Url=issuer)
    call("GetOpenIDConnectProvider", **provider)
    call("ListOpenIDConnectProviders")
    call("AddClientIDToOpenIDConnectProvider", ClientID="other", **provider)
    call("RemoveClientIDFromOpenIDConnectProvider", ClientID="other", **provider)
    call("TagOpenIDConnectProvider", Tags=[{"Key": "a", "Value": "b"}], **provider)
    call("ListOpenIDConnectProviderTags", **provider)
    call("UntagOpenIDConnectProvider", TagKeys=["a"], **provider)

    policy = call("CreatePolicy", PolicyName="outside", PolicyDocument=json.dumps(RULES), Description="of the outside check", Tags=tags)
    policy = {"PolicyArn": policy["Policy"]["Arn"]}
    call("CreatePolicy", "MalformedPolicyDocument", PolicyName="bad", PolicyDocument="{}")
    call("GetPolicy", **policy)
    call("GetPolicy", PolicyArn=ISSUED_BY + "AdministratorAccess")
    call("GetPolicy", "NoSuchEntity", PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/none")
    call("ListPolicies", Scope="Local")
    call("ListPolicies", MaxItems=1)
    call("CreatePolicyVersion", PolicyDocument=json.dumps(RULES), SetAsDefault=False, **policy)
    call("ListPolicyVersions", **policy)
    call("GetPolicyVersion", VersionId="v2", **policy)
    call("SetDefaultPolicyVersion", VersionId="v2", **policy)
    call("DeletePolicyVersion", "DeleteConflict", VersionId="v2", **policy)
    call("DeletePolicyVersion", VersionId="v1", **policy)
    call("TagPolicy", Tags=[{"Key": "a", "Value": "b"}], **policy)
    call("ListPolicyTags", **policy)
    call("UntagPolicy", TagKeys=["a"], **policy)

    role = {"RoleName": "outside"}
    call(
        "CreateRole", AssumeRolePolicyDocument=json.dumps(TRUST), Description="of the outside check", Path="/outside/", Tags=tags,
        PermissionsBoundary=ISSUED_BY + "AdministratorAccess", MaxSessionDuration=7200, **role,
    )
    call("CreateRole", "EntityAlreadyExists", AssumeRolePolicyDocument=json.dumps(TRUST), **role)
    call("GetRole", **role)
    call("GetRole", "NoSuchEntity", RoleName="none")
    call("ListRoles")
    call("ListRoles", PathPrefix="/outside/", MaxItems=1)
    call("UpdateRole", Description="another", MaxSessionDuration=3600, **role)
    call("UpdateRoleDescription", Description="a third", **role)
    call("UpdateAssumeRolePolicy", PolicyDocument=json.dumps(TRUST), **role)
    call("DeleteRolePermissionsBoundary", **role)
    call("PutRolePermissionsBoundary", PermissionsBoundary=ISSUED_BY + "AdministratorAccess", **role)
    call("TagRole", Tags=[{"Key": "a", "Value": "b"}], **role)
    call("ListRoleTags", **role)
    call("UntagRole", TagKeys=["a"], **role)
    call("AttachRolePolicy", **policy, **role)
    call("ListAttachedRolePolicies", **role)
    call("ListEntitiesForPolicy", **policy)
    call("DeletePolicy", "DeleteConflict", **policy)
    call("DeleteRole", "DeleteConflict", **role)
    call("PutRolePolicy", PolicyName="inline", PolicyDocument=json.dumps(RULES), **role)
    call("GetRolePolicy", PolicyName="inline", **role)
    call("ListRolePolicies", **role)
    arn = f"arn:aws:iam::{ACCOUNT}:role/outside/outside"
    call("SimulatePrincipalPolicy", PolicySourceArn=arn, ActionNames=["ec2:DescribeVpcs"])
    call("SimulatePrincipalPolicy", PolicySourceArn=arn, ActionNames=["iam:GetRole"], ResourceArns=[arn])
    call("DeleteRolePolicy", PolicyName="inline", **role)
    call("ListInstanceProfilesForRole", RoleName="demo-nodes")
    call("DetachRolePolicy", **policy, **role)
    call("DetachRolePolicy", "NoSuchEntity", **policy, **role)
    call("DeleteRole", **role)
    call("DeletePolicy", **policy)
    call("DeleteOpenIDConnectProvider", **provider)
    # IAM says that it does not fail for one that is gone.
    call("DeleteOpenIDConnectProvider", **provider)


def drive_eks(driver):
    call = lambda operation, expect=None, **parameters: driver.call("eks", operation, expect, **parameters)
    cluster = {"clusterName": CLUSTER}
    found = call("DescribeCluster", name=CLUSTER)
    call("DescribeCluster", "ResourceNotFoundException", name="none")
    call("ListClusters", maxResults=1)
    call("ListNodegroups", maxResults=1, **cluster)
    call("DescribeNodegroup", nodegroupName="system", **cluster)
    call("DescribeNodegroup", "ResourceNotFoundException", nodegroupName="none", **cluster)
    call("ListFargateProfiles", **cluster)
    call("DescribeFargateProfile", fargateProfileName="batch", **cluster)
    call("DescribeFargateProfile", "ResourceNotFoundException", fargateProfileName="none", **cluster)
    call("ListAccessEntries", **cluster)
    call("DescribeAccessEntry", principalArn=f"arn:aws:iam::{ACCOUNT}:role/demo-nodes", **cluster)
    arn = found["cluster"]["arn"]
    call("TagResource", resourceArn=arn, tags={"a": "b"})
    call("ListTagsForResource", resourceArn=arn)
    call("UntagResource", resourceArn=arn, tagKeys=["a"])
    call("DescribeAddonVersions", addonName="aws-ebs-csi-driver", kubernetesVersion="1.35")
    call("DescribeAddonVersions", maxResults=2)
    version = {"addonName": "aws-ebs-csi-driver", "addonVersion": "v1.64.0-eksbuild.1"}
    schema = call("DescribeAddonConfiguration", **version)
    json.loads(schema["configurationSchema"])
    role = f"arn:aws:iam::{ACCOUNT}:role/demo-nodes"
    made = {**version, **cluster}
    call("CreateAddon", "InvalidParameterException", configurationValues='{"controllers":{}}', **made)
    call(
        "CreateAddon", configurationValues='{"controller":{"replicaCount":1}}', serviceAccountRoleArn=role, tags={"a": "b"},
        podIdentityAssociations=[{"serviceAccount": "ebs-csi-node-sa", "roleArn": role}], resolveConflicts="OVERWRITE", **made,
    )
    call("CreateAddon", "ResourceInUseException", **made)
    call("ListAddons", **cluster)
    call("DescribeAddon", addonName="aws-ebs-csi-driver", **cluster)
    call("DescribeAddon", addonName="coredns", **cluster)
    update = call("UpdateAddon", addonName="aws-ebs-csi-driver", configurationValues="{}", resolveConflicts="PRESERVE", **cluster)
    call("DescribeUpdate", name=CLUSTER, addonName="aws-ebs-csi-driver", updateId=update["update"]["id"])
    call("DeleteAddon", addonName="aws-ebs-csi-driver", **cluster)
    call("DeleteAddon", "ResourceNotFoundException", addonName="none", **cluster)
    pods = {"namespace": "kube-system", "serviceAccount": "outside", "roleArn": role}
    association = call("CreatePodIdentityAssociation", tags={"a": "b"}, **pods, **cluster)
    call("CreatePodIdentityAssociation", "ResourceInUseException", **pods, **cluster)
    association = {"associationId": association["association"]["associationId"], **cluster}
    call("ListPodIdentityAssociations", namespace="kube-system", **cluster)
    call("DescribePodIdentityAssociation", **association)
    call("UpdatePodIdentityAssociation", roleArn=f"arn:aws:iam::{ACCOUNT}:role/platform-admin", **association)
    call("DeletePodIdentityAssociation", **association)
    call("DeletePodIdentityAssociation", "ResourceNotFoundException", **association)
    return found["cluster"]


def drive_sts(driver, cluster):
    call = lambda operation, expect=None, **parameters: driver.call("sts", operation, expect, **parameters)
    call("GetCallerIdentity")
    call("AssumeRole", RoleArn=f"arn:aws:iam::{ACCOUNT}:role/platform-admin", RoleSessionName="outside")
    call("AssumeRole", "AccessDenied", RoleArn=f"arn:aws:iam::{ACCOUNT}:role/none", RoleSessionName="outside")
    issuer = cluster["identity"]["oidc"]["issuer"]
    bare = issuer.removeprefix("https://")
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{bare}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{bare}:sub": "system:serviceaccount:kube-system:default", f"{bare}:aud": "sts.amazonaws.com"}},
    }]}
    driver.call("iam", "CreateOpenIDConnectProvider", Url=issuer, ClientIDList=["sts.amazonaws.com"])
    driver.call("iam", "CreateRole", RoleName="outside-web", AssumeRolePolicyDocument=json.dumps(trust))
    web = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/outside-web", "RoleSessionName": "outside"}
    call("AssumeRoleWithWebIdentity", WebIdentityToken=service_account_token(cluster), **web)
    call("AssumeRoleWithWebIdentity", "InvalidIdentityToken", WebIdentityToken="no.token.really", **web)


def service_account_token(cluster):
    """A token of the sandbox's API server, asked for as its kubeconfig says."""
    with open(os.environ["KUBECONFIG"], encoding="utf-8") as file:
        user = json.load(file)["users"][0]["user"]["exec"]
    answer = subprocess.run([user["command"], *user["args"]], check=True, capture_output=True, timeout=60)
    bearer = json.loads(answer.stdout)["status"]["token"]

    authority = base64.b64decode(cluster["certificateAuthority"]["data"]).decode()
    request = urllib.request.Request(
        cluster["endpoint"] + "/api/v1/namespaces/kube-system/serviceaccounts/default/token",
        data=json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["sts.amazonaws.com"]}}).encode(),
        headers={"authorization": f"Bearer {bearer}", "content-type": "application/json"},
    )
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl.create_default_context(cadata=authority)))
    with opener.open(request, timeout=20) as response:
        return json.load(response)["status"]["token"]


def drive_others(driver, answered):
    vpc = [{"Name": "vpc-id", "Values": ["vpc-0a1b2c3d4e5f60718"]}]
    driver.call("ec2", "DescribeSubnets", Filters=vpc)
    driver.call("ec2", "DescribeRouteTables", Filters=vpc)
    driver.call("ec2", "DescribeSecurityGroups", GroupIds=["sg-0e000000000000001"])
    driver.call("ec2", "DescribeSecurityGroups", "InvalidGroup.NotFound", GroupIds=["sg-0f000000000000001"])
    driver.call("ec2", "DescribeVolumes", VolumeIds=["vol-0a000000000000001"])
    driver.call("ec2", "DescribeVolumes", "InvalidVolume.NotFound", VolumeIds=["vol-0f000000000000001"])
    driver.call("elbv2", "DescribeLoadBalancers")
    driver.call("elbv2", "DescribeLoadBalancers", "LoadBalancerNotFound", Names=["none"])
    driver.call("elbv2", "DescribeTargetGroups")
    driver.call("elbv2", "DescribeTargetGroups", "TargetGroupNotFound", Names=["none"])
    found = driver.call("globalaccelerator", "ListAccelerators")
    driver.call("globalaccelerator", "DescribeAccelerator", AcceleratorArn=found["Accelerators"][0]["AcceleratorArn"])
    driver.call("globalaccelerator", "DescribeAccelerator", "AcceleratorNotFoundException", AcceleratorArn="arn:aws:globalaccelerator::1:accelerator/x")
    driver.call("resourcegroupstaggingapi", "GetResources", TagFilters=[{"Key": "elbv2.k8s.aws/cluster", "Values": [CLUSTER]}])
    driver.call("resourcegroupstaggingapi", "GetResources", "InvalidParameterException", ResourcesPerPage=1000)
    # Operations without parameters need no line above.
    driven = driver.findings.succeeded
    for service, operation in sorted(answered - driven):
        shape = driver.model(service, operation).input_shape
        if shape is None or not shape.required_members:
            driver.call(service, operation)


def main():
    endpoint = urllib.parse.urlparse(os.environ.get("AWS_ENDPOINT_URL", ""))
    if endpoint.hostname not in ("127.0.0.1", "::1", "localhost"):
        print("AWS_ENDPOINT_URL is no address of loopback: run this inside `eks-bootstrap sandbox`", file=sys.stderr)
        return 2
    findings = Findings()
    driver = Driver(findings)
    answered = simulated(driver)
    drive_iam(driver)
    drive_sts(driver, drive_eks(driver))
    drive_others(driver, answered)
    for service, operation in sorted(answered - findings.succeeded):
        findings.add(f"{service}.{operation}", "the simulator answers it, and nothing here has seen it succeed")
    for finding in sorted(set(findings.found)):
        print(finding)
    print(
        f"{len(answered)} operations of {len(SERVICES)} services, {findings.answers} answers held against botocore {botocore.__version__}: "
        f"{len(set(findings.found)) or 'no'} finding{'' if len(set(findings.found)) == 1 else 's'}"
    )
    return 1 if findings.found else 0


if __name__ == "__main__":
    sys.exit(main())
