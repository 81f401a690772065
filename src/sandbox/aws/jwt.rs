//! Web identity tokens as STS reads them: the signature is really checked against the issuer's keys.
//!
//! Used by `AssumeRoleWithWebIdentity` only. The keys come from `Simulator::set_issuer_keys`, which the sandbox calls with the keys of the
//! real API server that issues the tokens.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A token whose parts were read; nothing is believed yet.
#[derive(Debug)]
pub(super) struct Token<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: String,
    key_id: Option<String>,
    claims: Value,
}

impl<'a> Token<'a> {
    /// Reads a token; `None` if it is none.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let header = json(header)?;
        Some(Self {
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
            algorithm: header["alg"].as_str()?.to_owned(),
            key_id: header["kid"].as_str().map(str::to_owned),
            claims: json(claims)?,
        })
    }

    /// Returns a claim that is a string.
    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        self.claims[claim].as_str()
    }

    /// Returns a claim that is a time, in seconds.
    pub(super) fn seconds(&self, claim: &str) -> Option<i64> {
        self.claims[claim].as_i64()
    }

    /// Returns the audiences: a claim that is a string or a list.
    pub(super) fn audiences(&self) -> Vec<String> {
        super::document::strings(&self.claims["aud"]).unwrap_or_default()
    }

    /// Says whether one of the issuer's keys made the signature.
    pub(super) fn is_signed_by(&self, jwks: &Value) -> bool {
        let keys = jwks["keys"].as_array().cloned().unwrap_or_default();
        keys.iter()
            .filter(|key| self.key_id.is_none() || key["kid"].as_str() == self.key_id.as_deref())
            .any(|key| self.is_signed_with(key).unwrap_or(false))
    }

    fn is_signed_with(&self, key: &Value) -> Option<bool> {
        let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok();
        let message = self.signed.as_bytes();
        match (self.algorithm.as_str(), key["kty"].as_str()?) {
            ("RS256", "RSA") => {
                let components = RsaPublicKeyComponents { n: part("n")?, e: part("e")? };
                Some(components.verify(&RSA_PKCS1_2048_8192_SHA256, message, &self.signature).is_ok())
            }
            ("ES256", "EC") if key["crv"] == "P-256" => {
                let point = [vec![4], part("x")?, part("y")?].concat();
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                Some(key.verify(message, &self.signature).is_ok())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
    use serde_json::json;

    use super::*;

    #[test]
    fn an_rsa_token_is_checked_against_the_keys_of_its_id() {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let body = format!("{}.{}", part(&json!({"alg": "RS256", "kid": "a"})), part(&json!({"sub": "s"})));
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body.as_bytes(), &mut signature).unwrap();
        let text = format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature));
        let public = pair.public_key();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let n = encode(public.modulus().big_endian_without_leading_zero());
        let e = encode(public.exponent().big_endian_without_leading_zero());
        let keys = |id: &str| json!({"keys": [{"kty": "RSA", "kid": id, "n": n, "e": e}]});

        assert!(Token::parse(&text).unwrap().is_signed_by(&keys("a")));
        assert!(!Token::parse(&text).unwrap().is_signed_by(&keys("b")));
        let forged = text.replacen(&part(&json!({"sub": "s"})), &part(&json!({"sub": "t"})), 1);
        assert!(!Token::parse(&forged).unwrap().is_signed_by(&keys("a")));
    }
}
