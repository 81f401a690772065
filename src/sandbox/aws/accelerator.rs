//! The simulated Global Accelerator, as far as the product looks. It is asked in us-west-2 only, whatever the region of a cluster.

use serde_json::{Map, Value, json};

use super::error::{ApiError, Result};
use super::paging::page;
use super::world::{CallContext, World};

/// The region of the API, and of the tagging API that knows accelerators.
pub(super) const REGION: &str = "us-west-2";

/// Answers a call of Global Accelerator.
pub(super) fn call(world: &World, cx: &CallContext, operation: &str, input: &Map<String, Value>) -> Result<Value> {
    // No other region, and no other partition, has a host for it; one endpoint for all has at least the signature.
    if cx.region != REGION || world.partition.name != "aws" {
        let text = format!("Credential should be scoped to a valid region, not '{}'.", cx.region);
        return Err(ApiError::new("InvalidSignatureException", 403, text));
    }
    let there = world.present_in("", "globalaccelerator", "accelerator/");
    match operation {
        "DescribeAccelerator" => {
            let arn = input.get("AcceleratorArn").and_then(Value::as_str);
            let arn =
                arn.ok_or_else(|| ApiError::new("InvalidArgumentException", 400, "AcceleratorArn is required"))?;
            if !there.iter().any(|known| known == arn) {
                return Err(ApiError::new("AcceleratorNotFoundException", 400, "Accelerator does not exist"));
            }
            Ok(json!({"Accelerator": accelerator(arn)}))
        }
        "ListAccelerators" => {
            let most = input.get("MaxResults").and_then(Value::as_u64);
            let items = there.iter().map(|arn| (arn.clone(), accelerator(arn))).collect();
            let page =
                page(items, input.get("NextToken").and_then(Value::as_str), world.page_of(most.or(Some(10)), 100))
                    .ok_or_else(|| ApiError::new("InvalidNextTokenException", 400, "the token is not valid"))?;
            let mut answer = json!({"Accelerators": page.items});
            if let Some(next) = page.next {
                answer["NextToken"] = next.into();
            }
            Ok(answer)
        }
        other => Err(ApiError::not_implemented(&format!("globalaccelerator:{other}"))),
    }
}

fn accelerator(arn: &str) -> Value {
    let name = arn.rsplit('/').next().unwrap_or_default();
    json!({
        "AcceleratorArn": arn, "Name": name, "IpAddressType": "IPV4", "Enabled": true, "Status": "DEPLOYED",
        "DnsName": format!("{name}.awsglobalaccelerator.com"),
    })
}
