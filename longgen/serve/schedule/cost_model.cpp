#include "longgen/serve/schedule/cost_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "longgen/base/check.h"

namespace longgen {
namespace {

enum Term : size_t { kStep, kPrefill, kRow, kPair, kKey };

double real(int64_t value) { return static_cast<double>(value); }

}  // namespace

void StepWork::add_prefill(int64_t before, int64_t num_tokens) {
  rows += real(num_tokens);
  prefill_pairs += real(num_tokens) * (2 * real(before) + real(num_tokens));
  has_prefill = true;
}

void StepWork::add_decoder(int64_t before) {
  rows += 1;
  decode_keys += real(before);
}

CostModel::CostModel(const Terms& coefficients) : coefficients_(coefficients) {
  for (const double value : coefficients) {
    LG_CHECK(value >= 0 && std::isfinite(value),
             "[cost model] expected coefficients of at least 0, found ", value, ".");
  }
}

CostModel::Terms CostModel::terms(const StepWork& work) {
  Terms terms;
  terms[kStep] = 1;
  terms[kPrefill] = work.has_prefill ? 1 : 0;
  terms[kRow] = work.rows;
  terms[kPair] = work.prefill_pairs;
  terms[kKey] = work.decode_keys;
  return terms;
}

double CostModel::seconds(const StepWork& work) const {
  const Terms all = terms(work);
  double sum = work.copy_seconds;
  for (size_t i = 0; i < kNumTerms; ++i) sum += coefficients_[i] * all[i];
  return sum;
}

int64_t CostModel::prefill_tokens(const StepWork& work, int64_t before,
                                  double limit_seconds) const {
  StepWork with_none = work;
  with_none.has_prefill = true;
  const double left = limit_seconds - seconds(with_none);
  if (!(left > 0)) return 0;
  // The positive root of a x^2 + linear x = left, without the difference of near numbers.
  const double a = coefficients_[kPair];
  const double linear = coefficients_[kRow] + 2 * a * real(before);
  const double divisor = linear + std::sqrt(linear * linear + 4 * a * left);
  const double tokens = 2 * left / divisor;
  return tokens < real(kMostTokens) ? static_cast<int64_t>(tokens) : kMostTokens;
}

double CostModel::prefill_seconds(int64_t begin, int64_t end, double step_seconds) const {
  StepWork work;
  work.add_prefill(begin, end - begin);
  const double each = coefficients_[kStep] + coefficients_[kPrefill];
  const double all = seconds(work) - each;
  return all + each * std::ceil(std::max(1.0, all / step_seconds));
}

void CopyCost::add(int64_t pages, double seconds) {
  if (pages <= 0 || !(seconds > 0)) return;
  const double kept = std::exp2(-real(pages) / kHalfLifePages);
  seconds_ = kept * seconds_ + seconds;
  pages_ = kept * pages_ + real(pages);
}

void CostCalibration::add(const StepWork& work, double seconds) {
  if (work.is_empty() || !(seconds > 0) || !std::isfinite(seconds)) return;
  const double keep = std::exp2(-1 / kHalfLifeSteps);
  Terms relative = CostModel::terms(work);
  for (double& term : relative) term /= seconds;
  for (size_t i = 0; i < relative.size(); ++i) {
    for (size_t j = 0; j < relative.size(); ++j) {
      products_[i][j] = products_[i][j] * keep + relative[i] * relative[j];
    }
    sums_[i] = sums_[i] * keep + relative[i];
  }
}

/// Solves the normal equations of some terms by Cholesky's method, scaled so that the diagonal is
/// 1. Nothing where they do not determine the coefficients.
std::optional<CostModel::Terms> CostCalibration::solve(unsigned subset) const {
  constexpr double kLeastPivot = 1e-7;  // of 1: far above rounding, far below terms that differ
  std::array<size_t, CostModel::kNumTerms> terms = {};
  size_t count = 0;
  for (size_t i = 0; i < CostModel::kNumTerms; ++i) {
    if ((subset >> i & 1) != 0) terms[count++] = i;
  }
  const auto scale = [&](size_t i) { return std::sqrt(products_[terms[i]][terms[i]]); };
  std::array<Terms, CostModel::kNumTerms> lower = {};
  Terms half = {};
  for (size_t i = 0; i < count; ++i) {
    if (!(scale(i) > 0)) return std::nullopt;
    half[i] = sums_[terms[i]] / scale(i);
    for (size_t j = 0; j <= i; ++j) {
      double value = products_[terms[i]][terms[j]] / (scale(i) * scale(j));
      for (size_t k = 0; k < j; ++k) value -= lower[i][k] * lower[j][k];
      if (i == j && !(value > kLeastPivot)) return std::nullopt;
      lower[i][j] = i == j ? std::sqrt(value) : value / lower[j][j];
    }
    for (size_t k = 0; k < i; ++k) half[i] -= lower[i][k] * half[k];
    half[i] /= lower[i][i];
  }
  Terms result = {};
  for (size_t i = count; i-- > 0;) {
    double value = half[i];
    for (size_t k = i + 1; k < count; ++k) value -= lower[k][i] * result[terms[k]] * scale(k);
    value /= lower[i][i] * scale(i);
    if (!(value >= 0)) return std::nullopt;
    result[terms[i]] = value;
  }
  return result;
}

double CostCalibration::loss(const Terms& coefficients) const {
  double loss = 0;
  for (size_t i = 0; i < coefficients.size(); ++i) {
    loss -= 2 * coefficients[i] * sums_[i];
    for (size_t j = 0; j < coefficients.size(); ++j) {
      loss += coefficients[i] * products_[i][j] * coefficients[j];
    }
  }
  return loss;
}

std::optional<CostModel> CostCalibration::fit() const {
  // Where no coefficient may be negative the best ones are the plain solution of some subset of the
  // terms; there are 31, and each takes no time.
  std::optional<Terms> best;
  double best_loss = std::numeric_limits<double>::infinity();
  for (unsigned subset = 1; subset < 1u << CostModel::kNumTerms; ++subset) {
    const std::optional<Terms> one = solve(subset);
    if (!one || !(loss(*one) < best_loss)) continue;
    best = one;
    best_loss = loss(*one);
  }
  if (!best) return std::nullopt;
  return CostModel(*best);
}

}  // namespace longgen
