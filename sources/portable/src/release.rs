//! Which Linux runs, where what it can do cannot be asked for itself.

use std::fs;

/// Its release as two numbers; zeros where it cannot be read.
pub fn of_kernel() -> (u32, u32) {
    numbers(&fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default())
}

fn numbers(release: &str) -> (u32, u32) {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        assert!(numbers("6.1.0-57-amd64\n") < (6, 3));
        assert!(numbers("6.12.117+deb12-amd64") > (6, 3));
        assert!(numbers("6.3.0") >= (6, 3));
        assert!(numbers("10.0") > (6, 3));
    }
}
