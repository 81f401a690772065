//! The simulator as the HTTP connector of the AWS SDK: the same code as behind the front, without a socket.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::BodyExt;

use super::Simulator;

/// Hands the requests of an SDK client to the simulator.
#[derive(Debug, Clone)]
pub(super) struct Connector(pub(super) Simulator);

impl HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let simulator = self.0.clone();
        HttpConnectorFuture::new(async move { answer(&simulator, request).await })
    }
}

async fn answer(simulator: &Simulator, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    let body: Bytes = body.collect().await.map_err(ConnectorError::user)?.to_bytes();
    let Some(response) = simulator.answer(http::Request::from_parts(parts, body)).await else {
        let broken = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection closed before an answer");
        return Err(ConnectorError::io(broken.into()));
    };
    HttpResponse::try_from(response.map(SdkBody::from)).map_err(|error| ConnectorError::user(error.into()))
}
