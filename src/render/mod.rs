//! Drawing: plans and events become text, bars or JSON. The only place besides `main.rs` that prints.
//!
//! stdout carries the result, stderr progress, prompts and messages.

pub mod bars;
pub mod config_view;
pub mod events;
pub mod findings_json;
pub mod findings_junit;
pub mod findings_text;
pub mod lines;
pub mod output;
pub mod plan_commands;
pub mod plan_json;
pub mod plan_text;
pub mod rights;
pub mod smoke_text;
pub mod starting;
pub mod style;
pub mod terminal;
pub mod usage;
