// serve/schedule/cost_model.h: how long a step will take, before it is begun.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace longgen {

/// What a step does, in the quantities that its time is linear in.
struct StepWork {
  double rows = 0;           ///< tokens that pass through the layers
  double prefill_pairs = 0;  ///< sum over chunks of 2 L x + x^2: x tokens after L
  double decode_keys = 0;    ///< sum over single tokens of those before them
  bool has_prefill = false;
  double copy_seconds = 0;  ///< of copies between device and host that the step makes before

  void add_prefill(int64_t before, int64_t num_tokens);
  void add_decoder(int64_t before);
  bool is_empty() const { return rows == 0; }
};

/// Seconds of a step, c + p [has prefill] + b rows + a prefill_pairs + d decode_keys, beside those
/// of its copies. The quadratic
/// part is that of full layers: in all others a token sees a bounded number of keys, which counts
/// in b. Single tokens read keys as fast as memory gives them and have a coefficient of their own;
/// p is there because a step without prefill is a CUDA graph where there is a GPU.
class CostModel {
 public:
  static constexpr size_t kNumTerms = 5;
  using Terms = std::array<double, kNumTerms>;  ///< in order c, p, b, a, d

  /// Throws Error on coefficients that are negative or not finite.
  explicit CostModel(const Terms& coefficients);
  static Terms terms(const StepWork& work);

  const Terms& coefficients() const { return coefficients_; }
  double seconds(const StepWork& work) const;
  /// The most tokens that a chunk after `before` tokens may have so that the step, with what
  /// `work` holds already, takes at most `limit_seconds`; 0 where none may. At most kMostTokens.
  int64_t prefill_tokens(const StepWork& work, int64_t before, double limit_seconds) const;
  static constexpr int64_t kMostTokens = int64_t{1} << 40;
  /// Seconds of a prefill of tokens [begin, end) alone, in steps of about `step_seconds`.
  double prefill_seconds(int64_t begin, int64_t end, double step_seconds) const;

 private:
  Terms coefficients_;
};

/// How long a page takes between device and host.
class CopyCost {
 public:
  /// After as many further pages a page counts half.
  static constexpr double kHalfLifePages = 4096;

  CopyCost() = default;
  /// As long as nothing is added.
  explicit CopyCost(double seconds_per_page) : seconds_(seconds_per_page), pages_(1) {}
  void add(int64_t pages, double seconds);
  /// 0 where nothing is known.
  double seconds_per_page() const { return pages_ > 0 ? seconds_ / pages_ : 0; }

 private:
  double seconds_ = 0, pages_ = 0;  // that have been copied, older ones for less
};

/// Finds the coefficients by steps that were measured: least squares of the relative error, because
/// a step of 5 ms must be right as well as one of 500 ms, with no coefficient below 0.
class CostCalibration {
 public:
  /// After as many further steps a step counts half.
  static constexpr double kHalfLifeSteps = 512;

  /// Counts a step, without its copies. One that has no rows, or took no time, is not counted.
  void add(const StepWork& work, double seconds);
  /// Nothing before the first step. Terms in which the steps so far do not differ share what they
  /// cost: predictions hold for steps like those.
  std::optional<CostModel> fit() const;

 private:
  using Terms = CostModel::Terms;
  std::optional<Terms> solve(unsigned subset) const;
  /// Of the error of these coefficients, without what all have in common.
  double loss(const Terms& coefficients) const;

  std::array<Terms, CostModel::kNumTerms> products_ = {};  // of terms over seconds, added up
  Terms sums_ = {};
};

}  // namespace longgen
