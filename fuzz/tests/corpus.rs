//! Every target over its corpus, and over each input with any one octet changed, missing or last.

fn run_over(corpus: &str, target: fn(&[u8])) {
    let folder = format!("{}/corpus/{corpus}", env!("CARGO_MANIFEST_DIR"));
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let input = std::fs::read(entry.unwrap().path()).unwrap();
        target(&input);
        damage(&input, target);
        inputs += 1;
    }
    assert!(inputs >= 10, "{corpus}: the corpus is there");
}

/// A step keeps the longest inputs from taking the most of the time.
fn damage(input: &[u8], target: fn(&[u8])) {
    for at in (0..input.len()).step_by(1 + input.len() / 96) {
        for octet in [0, 1, b' ', b'"', b'{', 0x7f, 0xff] {
            let mut changed = input.to_vec();
            changed[at] = octet;
            target(&changed);
        }
        target(&input[..at]);
        target(&[&input[..at], &input[at + 1..]].concat());
    }
}

/// For targets that shake hands with every input: each input, cut and changed in a few places.
fn run_lightly(corpus: &str, target: fn(&[u8])) {
    let folder = format!("{}/corpus/{corpus}", env!("CARGO_MANIFEST_DIR"));
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let input = std::fs::read(entry.unwrap().path()).unwrap();
        target(&input);
        for at in (0..input.len()).step_by(1 + input.len() / 6) {
            let mut changed = input.clone();
            changed[at] ^= 0x81;
            target(&changed);
            target(&input[..at]);
        }
        inputs += 1;
    }
    assert!(inputs >= 10, "{corpus}: the corpus is there");
}

#[test]
fn decode() {
    run_over("decode", fuzz::decode);
}

#[test]
fn references() {
    run_over("references", fuzz::references);
}

#[test]
fn ima() {
    run_over("ima", fuzz::ima);
}

#[test]
fn agent() {
    run_lightly("agent", fuzz::agent);
}

#[test]
fn orchestrator() {
    run_lightly("orchestrator", fuzz::orchestrator);
}

#[test]
fn text() {
    run_over("text", fuzz::text);
}

#[test]
fn json() {
    run_over("json", fuzz::json);
}
