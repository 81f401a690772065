//! The exit codes of the program, one constant each; a test holds the README's table against them.

/// Everything asked for was done.
pub const DONE: u8 = 0;
/// Something failed; the summary says what is done and what remains.
pub const FAILED: u8 = 1;
/// `plan --detailed-exitcode`: changes are pending.
pub const CHANGES_PENDING: u8 = 2;
/// `verify`: a check failed, or could not be read.
pub const CHECK_FAILED: u8 = 3;
/// A guard refused; nothing was changed.
pub const REFUSED: u8 = 4;
/// The command line or the configuration is wrong (`EX_USAGE` of sysexits).
pub const USAGE: u8 = 64;
/// No credentials, expired credentials, or access denied (`EX_NOPERM` of sysexits).
pub const NO_PERMISSION: u8 = 77;
/// Hung up: the terminal or its connection is gone (128 + SIGHUP).
pub const HUNG_UP: u8 = 129;
/// Interrupted from the terminal (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;
/// Terminated (128 + SIGTERM).
pub const TERMINATED: u8 = 143;
