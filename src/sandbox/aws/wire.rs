//! The protocols: which operation a request asks for, and how its answer is written.
//!
//! IAM, STS and Elastic Load Balancing speak the Query protocol (a form in, XML out), EC2 one of its own that is like it, EKS is REST with JSON,
//! the tagging API and Global Accelerator are JSON 1.1. The service is told by the
//! signature's scope, because all of them may be reached under one address.

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Map, Value, json};

use super::eks::route;
use super::error::{ApiError, Result};
use super::form::Form;
use super::sigv4::{Signature, query_pairs};
use super::xml::Xml;

/// A simulated service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Iam,
    Sts,
    Ec2,
    Elb,
    Eks,
    Tagging,
    Accelerator,
}

impl Service {
    /// The prefix of its actions in IAM policies.
    pub(super) fn action_prefix(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
            Self::Ec2 => "ec2",
            Self::Elb => "elasticloadbalancing",
            Self::Accelerator => "globalaccelerator",
            Self::Eks => "eks",
            Self::Tagging => "tag",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tagging => "tagging",
            other => other.action_prefix(),
        }
    }

    /// Whether it speaks the Query protocol.
    pub(super) fn is_query(self) -> bool {
        matches!(self, Self::Iam | Self::Sts | Self::Ec2 | Self::Elb)
    }

    /// What precedes the operation in `x-amz-target`, where the protocol is JSON 1.1.
    fn target(self) -> Option<&'static str> {
        match self {
            Self::Tagging => Some("ResourceGroupsTaggingAPI_20170126."),
            Self::Accelerator => Some("GlobalAccelerator_V20180706."),
            _ => None,
        }
    }
}

/// The parameters of a call, as its protocol carries them.
#[derive(Debug)]
pub(super) enum Input {
    Form(Form),
    /// Path, query and body of a JSON call as one object, under the names of the API's members.
    Json(Map<String, Value>),
}

/// What a simulated operation answers, as its protocol carries it.
#[derive(Debug)]
pub(super) enum Output {
    /// The content of `<OperationResult>`; `None` where AWS answers without that element.
    Xml(Option<Xml>),
    Json(Value),
}

/// A request whose operation is known.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) service: Service,
    pub(super) name: String,
    pub(super) input: Input,
}

impl Operation {
    /// Reads which operation a request asks for.
    pub(super) fn parse(request: &Request<Bytes>, signature: Option<&Signature>) -> Result<Self> {
        let scope = signature.map(|signature| signature.service.as_str());
        match scope {
            Some("iam") => Self::query(Service::Iam, request),
            Some("sts") => Self::query(Service::Sts, request),
            Some("ec2") => Self::query(Service::Ec2, request),
            Some("elasticloadbalancing") => Self::query(Service::Elb, request),
            Some("eks") => Self::rest(request),
            Some("tagging") => Self::json(Service::Tagging, request),
            Some("globalaccelerator") => Self::json(Service::Accelerator, request),
            Some(other) => Err(ApiError::not_implemented(&format!("the service {other}"))),
            None => {
                let operation = Self::query(Service::Sts, request)?;
                if operation.name == "AssumeRoleWithWebIdentity" {
                    return Ok(operation);
                }
                Err(ApiError::new("MissingAuthenticationToken", 403, "Request is missing Authentication Token"))
            }
        }
    }

    fn query(service: Service, request: &Request<Bytes>) -> Result<Self> {
        let form = match request.method().as_str() {
            "POST" => Form::parse(request.body()),
            _ => Form::parse(request.uri().query().unwrap_or_default().as_bytes()),
        };
        let name = form
            .get("Action")
            .ok_or_else(|| ApiError::new("MissingAction", 400, "Could not find operation in the request"))?
            .to_owned();
        Ok(Self { service, name, input: Input::Form(form) })
    }

    fn rest(request: &Request<Bytes>) -> Result<Self> {
        let (name, mut input) = route(request.method().as_str(), request.uri().path())?;
        for (key, value) in query_pairs(request.uri().query().unwrap_or_default()) {
            match input.get_mut(&key) {
                Some(Value::Array(values)) => values.push(Value::from(value)),
                _ if matches!(key.as_str(), "types" | "publishers" | "owners" | "tagKeys") => {
                    input.insert(key, json!([value]));
                }
                _ => {
                    input.insert(key, Value::from(value));
                }
            }
        }
        if !request.body().is_empty() {
            input.extend(json_object(request.body())?);
        }
        Ok(Self { service: Service::Eks, name: name.to_owned(), input: Input::Json(input) })
    }

    fn json(service: Service, request: &Request<Bytes>) -> Result<Self> {
        let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let name = service.target().and_then(|prefix| target.strip_prefix(prefix));
        let name = name.ok_or_else(|| ApiError::new("UnknownOperationException", 400, ""))?;
        Ok(Self { service, name: name.to_owned(), input: Input::Json(json_object(request.body())?) })
    }

    /// Whether the operation changes the account. Getting credentials changes nothing that a later call could see.
    pub(super) fn is_write(&self) -> bool {
        let reads = ["Get", "List", "Describe", "Assume", "Simulate", "Decode"];
        !reads.iter().any(|prefix| self.name.starts_with(prefix))
    }

    /// Lists the parameters as text, for the recorder.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        match &self.input {
            Input::Form(form) => form.pairs().collect(),
            Input::Json(object) => object
                .iter()
                .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
                .collect(),
        }
    }
}

fn json_object(body: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(body).map_err(|_| ApiError::new("SerializationException", 400, "the body is no JSON object"))
}

/// Writes the answer of an operation that succeeded.
pub(super) fn success(service: Service, operation: &str, output: Output, request_id: &str) -> Response<Bytes> {
    match output {
        // The protocol of EC2 has neither a result element nor metadata.
        Output::Xml(result) if service == Service::Ec2 => {
            let result = result.map(Xml::into_string).unwrap_or_default();
            let body = format!(
                "<{operation}Response xmlns=\"{}\"><requestId>{request_id}</requestId>{result}</{operation}Response>",
                namespace(service)
            );
            response(200, "text/xml", request_id, body)
        }
        Output::Xml(result) => {
            let result = result
                .map(|xml| format!("<{operation}Result>{}</{operation}Result>", xml.into_string()))
                .unwrap_or_default();
            let body = format!(
                "<{operation}Response xmlns=\"{}\">{result}<ResponseMetadata><RequestId>{request_id}</RequestId>\
                 </ResponseMetadata></{operation}Response>",
                namespace(service)
            );
            response(200, "text/xml", request_id, body)
        }
        Output::Json(value) => response(200, json_type(service), request_id, value.to_string()),
    }
}

/// Writes an error in the protocol of the service that was called.
pub(super) fn failure(service: Service, error: &ApiError, request_id: &str) -> Response<Bytes> {
    if service == Service::Ec2 {
        let body = Xml::build(|xml| {
            xml.node("Errors", |xml| {
                xml.node("Error", |xml| {
                    xml.text("Code", &error.code);
                    xml.text("Message", &error.message);
                });
            });
            xml.text("RequestID", request_id);
        });
        return response(error.status, "text/xml", request_id, format!("<Response>{}</Response>", body.into_string()));
    }
    if service.is_query() {
        let kind = if error.status < 500 { "Sender" } else { "Receiver" };
        let body = Xml::build(|xml| {
            xml.node("Error", |xml| {
                xml.text("Type", kind);
                xml.text("Code", &error.code);
                xml.text("Message", &error.message);
            });
            xml.text("RequestId", request_id);
        });
        let body = format!("<ErrorResponse xmlns=\"{}\">{}</ErrorResponse>", namespace(service), body.into_string());
        return response(error.status, "text/xml", request_id, body);
    }
    let mut body = error.fields.clone();
    body.insert("message".to_owned(), Value::from(error.message.as_str()));
    if service.target().is_some() {
        body.insert("__type".to_owned(), Value::from(error.code.as_str()));
    }
    let mut answer = response(error.status, json_type(service), request_id, Value::Object(body).to_string());
    if let Ok(code) = error.code.parse() {
        answer.headers_mut().insert("x-amzn-errortype", code);
    }
    answer
}

fn response(status: u16, content_type: &str, request_id: &str, body: String) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("x-amzn-requestid", request_id)
        .body(Bytes::from(body))
        .unwrap_or_else(|_| Response::new(Bytes::new()))
}

fn json_type(service: Service) -> &'static str {
    if service.target().is_some() { "application/x-amz-json-1.1" } else { "application/json" }
}

fn namespace(service: Service) -> &'static str {
    match service {
        Service::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
        Service::Elb => "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
        Service::Ec2 => "http://ec2.amazonaws.com/doc/2016-11-15/",
        _ => "https://sts.amazonaws.com/doc/2011-06-15/",
    }
}
