//! What `tiertop scorecard` refuses.

use crate::{said, tiertop};

#[test]
fn what_cannot_be_played_is_refused_with_a_hint() {
    for (arguments, hint) in
        [(["--seeds", "x"], "3-5"), (["--rates", "0"], "above zero"), (["--classes", "x"], "cache-flush")]
    {
        let output = tiertop(&["scorecard"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains(hint), "{}", said(&output));
    }
}
