//! Answers of yes or no to up to 64 questions at once, in a word.

/// A bit for each truth, the first the lowest.
pub(crate) fn mask_of(truths: impl IntoIterator<Item = bool>) -> u64 {
    let bits = (0..u64::BITS)
        .zip(truths)
        .map(|(place, truth)| u64::from(truth) << place);
    bits.fold(0, |mask, bit| mask | bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_the_lowest() {
        assert_eq!(mask_of([true, false, true, true]), 0b1101);
        assert_eq!(mask_of([]), 0);
        assert_eq!(mask_of([true; 64]), u64::MAX);
    }
}
