//! The feed and the receivers come here.
