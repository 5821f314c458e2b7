// report/paired.h: how much two models differ on the same items, and how sure that is.
//
// Items differ far more than models do. Both models get the same ones, so what makes an item hard
// is in both scores and leaves with their difference: its interval is that of the differences.
// Sources: Student's t for the mean of paired differences; D. G. Bonett and R. M. Price, "Adjusted
// Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired Data", J. Educ.
// Behav. Stat. 37 (2012), 479-488; for ratios of sums the linearized variance of survey sampling
// (W. G. Cochran, Sampling Techniques, 1977, section 6.3).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "longgen/report/interval.h"

namespace longgen {

/// The second model less the first.
struct PairedDifference {
  int64_t num_items = 0;  ///< pairs; 0 leaves everything below unset
  double mean = 0;
  /// 95%. Unset for fewer than two pairs, and where differences that are no proportions are all
  /// equal: an interval of no width would claim to be certain.
  std::optional<Interval> interval;
};

/// Compares scores of the same items, in the same order. Where all are 0 or 1 the interval is
/// Bonett and Price's, clipped to [-1, 1], which has a width even where both models agree on every
/// item and need not have the mean in its middle; otherwise it is Student's. Throws Error unless
/// both are equally many, and on a score that is not finite.
PairedDifference paired_difference(std::span<const double> first, std::span<const double> second);

/// A document that both models read: the sums of a figure over the same tokens of it.
struct DocumentPair {
  double first = 0, second = 0;
  int64_t num_tokens = 0;  ///< at least 1
};

/// Gives the difference of the means over all tokens. Documents are the draws, not tokens: the
/// interval is Student's of the ratio of two sums over documents. Where all have the same number of
/// tokens that is Student's of the documents' means. Throws Error on a document without tokens.
PairedDifference paired_difference(std::span<const DocumentPair> documents);

/// Turns a difference of mean log-likelihoods (nats a token, a figure that falls as a model gets
/// better) into one of perplexities, in percent of the first: 100 (exp(x) - 1).
PairedDifference perplexity_percent(const PairedDifference& nll);

/// Gives the difference of the averages over tasks, each with items of its own and the same weight
/// (normal approximation). Where a task has no interval there is none. Throws Error on no tasks.
PairedDifference average_difference(std::span<const PairedDifference> tasks);

/// Writes "+1.42% (+0.90 to +1.94)": `scale` times the difference with so many digits, a unit
/// behind the first number, and the interval where there is one. "-" where nothing was compared.
std::string difference_text(const PairedDifference& difference, int digits,
                            const std::string& unit = "", double scale = 1);
/// Writes the interval alone, "+0.90 to +1.94", or "".
std::string interval_text(const std::optional<Interval>& interval, int digits, double scale = 1);
/// Writes a number with its sign, "+1.42" and "-0.30"; "0.00" where it rounds to that; one of
/// a million and more with four digits.
std::string signed_text(double value, int digits);

}  // namespace longgen
