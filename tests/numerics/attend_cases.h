// tests/numerics/attend_cases.h: shapes and patterns on which attention is tested, and how errors
// are measured.
#pragma once

#include <torch/torch.h>

#include <ostream>
#include <string>
#include <vector>

#include "longgen/attention/attend.h"

namespace longgen {

struct AttendCase {
  int64_t num_queries, num_keys, num_heads, num_kv_heads, head_size;
  std::string pattern;
  std::vector<int64_t> doc_starts = {};

  AttendOptions options() const {
    AttendOptions result;
    if (!doc_starts.empty()) result.doc_starts = torch::tensor(doc_starts, torch::kLong);
    return result;
  }
};

inline std::ostream& operator<<(std::ostream& out, const AttendCase& c) {
  return out << "T " << c.num_queries << " S " << c.num_keys << " H " << c.num_heads << " K "
             << c.num_kv_heads << " D " << c.head_size << " " << c.pattern << " documents "
             << c.doc_starts.size();
}

struct Qkv {
  torch::Tensor q_THD, k_SKD, v_SKD;

  /// Gives the same numbers in another type or on another device.
  template <typename Where>
  Qkv to(Where where) const {
    return {q_THD.to(where), k_SKD.to(where), v_SKD.to(where)};
  }
};

inline Qkv random_qkv(const AttendCase& c) {
  torch::manual_seed(c.num_queries * 131 + c.num_keys * 17 + c.head_size);
  const auto random = [](int64_t rows, int64_t heads, int64_t size) {
    return torch::randn({rows, heads, size});
  };
  return {random(c.num_queries, c.num_heads, c.head_size),
          random(c.num_keys, c.num_kv_heads, c.head_size),
          random(c.num_keys, c.num_kv_heads, c.head_size)};
}

inline double max_abs(const torch::Tensor& x) {
  return x.numel() == 0 ? 0.0 : x.to(torch::kDouble).abs().max().item<double>();
}

inline double max_abs_diff(const torch::Tensor& a, const torch::Tensor& b) {
  return max_abs(a.to(torch::kDouble) - b.to(torch::kDouble));
}

/// Gives the distance of neighbouring numbers of `type` at the largest value of x: the least error
/// that rounding can make.
inline double spacing(const torch::Tensor& x, torch::ScalarType type) {
  return max_abs(x) * (type == torch::kBFloat16 ? 0x1p-8 : 0x1p-23);
}

/// Gives the size of the terms that an fp32 pass over scores adds up: a score of size |lse| is
/// rounded by |lse| spacings, which becomes a relative error of its probability. No computation in
/// fp32 can promise less.
inline double forward_floor(const Attended& truth, torch::ScalarType type) {
  const torch::Tensor finite = truth.lse_HT.masked_fill(truth.lse_HT.isinf(), 0.0);
  return spacing(truth.out_THD, type) + spacing(truth.out_THD, torch::kFloat) * max_abs(finite);
}

inline std::vector<AttendCase> attend_cases() {
  std::vector<AttendCase> cases;
  const std::vector<std::string> patterns = {"full",
                                             "sink=1,window=2,stride=0",
                                             "sink=1,window=1,stride=3",
                                             "sink=0,window=3,stride=4",
                                             "sink=2,window=16,stride=0",
                                             "window_tokens=100"};
  for (const std::string& pattern : patterns) {
    for (int64_t tokens : {1, 63, 64, 65, 300, 777})
      cases.push_back({tokens, tokens, 9, 3, 64, pattern});
    cases.push_back({1, 1000, 9, 3, 64, pattern});
    cases.push_back({70, 613, 8, 2, 32, pattern});
    cases.push_back({257, 700, 4, 4, 80, pattern});
    cases.push_back({400, 400, 6, 1, 128, pattern});
    cases.push_back({200, 200, 36, 1, 36, pattern});
    cases.push_back({130, 130, 2, 2, 256, pattern});
    cases.push_back({500, 500, 6, 2, 64, pattern, {0, 1, 64, 65, 193, 450}});
  }
  for (const int64_t window : {1, 5, 63, 64, 65, 512, 1000, 4096}) {
    const std::string pattern = "window_tokens=" + std::to_string(window);
    cases.push_back({300, 300, 9, 3, 64, pattern});
    cases.push_back({70, 613, 8, 2, 32, pattern});
    cases.push_back({1, 700, 4, 1, 80, pattern});
    cases.push_back({500, 500, 6, 2, 64, pattern, {0, 1, 64, 65, 193, 450}});
  }
  return cases;
}

}  // namespace longgen
