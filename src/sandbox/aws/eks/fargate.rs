//! Fargate profiles, which come from the seed and are only read.

use serde_json::{Map, Value, json};

use super::{find, paged, text};
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::world::{CallContext, World, digest};

pub(super) fn list(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let mut names: Vec<_> = find(world, cx, input)?.fargate_profiles().iter().map(|it| it.name.clone()).collect();
    names.sort();
    paged(world, input, "fargateProfileNames", names.into_iter().map(|it| (it.clone(), Value::from(it))).collect())
}

pub(super) fn describe(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let role = world.iam_arn("role/fargate-pods");
    let cluster = find(world, cx, input)?;
    let name = text(input, "fargateProfileName").unwrap_or_default();
    let missing = || {
        ApiError::not_found(format!("No Fargate Profile found with name: {name}."))
            .with("clusterName", &cluster.name)
            .with("fargateProfileName", name)
    };
    let profile = cluster.fargate_profiles().iter().find(|it| it.name == name).ok_or_else(missing)?;
    Ok(json!({"fargateProfile": {
        "fargateProfileName": name,
        "fargateProfileArn": cluster.arn_of("fargateprofile", &format!("{name}/{}", digest(name, 36))),
        "clusterName": cluster.name,
        "podExecutionRoleArn": role,
        "subnets": cluster.network().1,
        "selectors": profile.selectors,
        "status": "ACTIVE",
        "tags": {},
    }}))
}
