// Cache policies in plain loops over doubles, which the tests of baselines compare with: every
// token is an entry of a list, keys are turned by where they stand when they are attended to, and
// prompts pass token by token.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "longgen/eval/baselines/cache_policy.h"
#include "longgen/model/attention_context.h"
#include "longgen/model/rope_frequencies.h"

namespace longgen {

/// One pass over a whole text whose first `prompt_tokens` are the prompt. H2O chooses after each
/// `step_tokens`.
class NaivePolicyContext : public AttentionContext {
 public:
  using Vector = std::vector<double>;
  struct Entry {
    int64_t position = 0;
    Vector k, v;  // k before RoPE
    double score = 0;
  };

  NaivePolicyContext(const ModelConfig& config, CachePolicy policy, int64_t prompt_tokens,
                     int64_t num_tokens, int64_t step_tokens = 1)
      : policy_(policy),
        num_layers_(config.num_layers),
        prompt_tokens_(prompt_tokens),
        step_tokens_(step_tokens),
        frequencies_(rope_frequencies(config.rope, config.head_size)),
        positions_T_(at::arange(num_tokens, at::kLong)) {}

  const at::Tensor& positions_T() const override { return positions_T_; }
  at::Tensor attend(const LayerAttention&, const at::Tensor& q, const at::Tensor&,
                    const at::Tensor&) override {
    return q;
  }
  at::Tensor prepare_and_attend(const LayerAttention& layer, const at::Tensor& heads_TAD,
                                int64_t num_heads, const HeadPreparation&) override {
    const int64_t num_tokens = heads_TAD.size(0);
    const int64_t num_kv_heads = (heads_TAD.size(1) - num_heads) / 2;
    const at::Tensor out = at::zeros({num_tokens, num_heads, heads_TAD.size(2)}, at::kDouble);
    for (int64_t head = 0; head < num_kv_heads; ++head) {
      std::vector<Entry>& kept = entries_[{layer.index, head}];
      std::vector<std::vector<Vector>> weights_of_rows;  // of each row and query head
      for (int64_t t = 0; t < num_tokens; ++t) {
        kept.push_back({t, vector(heads_TAD[t][num_heads + head]),
                        vector(heads_TAD[t][num_heads + num_kv_heads + head])});
        weights_of_rows.emplace_back();
        const int64_t group = num_heads / num_kv_heads;
        for (int64_t h = head * group; h < (head + 1) * group; ++h) {
          weights_of_rows.back().push_back(attend_row(kept, vector(heads_TAD[t][h]), t, out[t][h]));
        }
        evict(layer.index, t, weights_of_rows, kept);
        trace[{layer.index, head}].push_back(positions(kept));
      }
    }
    return out.to(heads_TAD.scalar_type());
  }

  /// By layer and KV head: the positions that are kept after each token.
  std::map<std::pair<int64_t, int64_t>, std::vector<std::vector<int64_t>>> trace;

 private:
  static Vector vector(const at::Tensor& x) {
    const at::Tensor values = x.to(at::kDouble).contiguous();
    return {values.data_ptr<double>(), values.data_ptr<double>() + values.numel()};
  }
  static std::vector<int64_t> positions(const std::vector<Entry>& kept) {
    std::vector<int64_t> all;
    for (const Entry& entry : kept) all.push_back(entry.position);
    return all;
  }

  Vector turned(const Vector& x, int64_t position) const {
    const size_t half = x.size() / 2;
    Vector result(x.size());
    for (size_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position) * frequencies_[i];
      result[i] = x[i] * std::cos(angle) - x[i + half] * std::sin(angle);
      result[i + half] = x[i + half] * std::cos(angle) + x[i] * std::sin(angle);
    }
    return result;
  }

  /// Adds the row's output to `out`, and its weights to the entries; returns the weights.
  Vector attend_row(std::vector<Entry>& kept, const Vector& q, int64_t position,
                    const at::Tensor& out) const {
    const bool by_cache = policy_.kind == PolicyKind::streaming;
    const auto place = [&](size_t i) {
      return by_cache ? static_cast<int64_t>(i) : kept[i].position;
    };
    const Vector q_turned = turned(q, by_cache ? std::ssize(kept) - 1 : position);
    Vector weights(kept.size());
    for (size_t i = 0; i < kept.size(); ++i) {
      const Vector k = turned(kept[i].k, place(i));
      weights[i] = std::exp(std::inner_product(k.begin(), k.end(), q_turned.begin(), 0.0) /
                            std::sqrt(static_cast<double>(q.size())));
    }
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    auto* values = out.data_ptr<double>();
    for (size_t i = 0; i < kept.size(); ++i) {
      weights[i] /= sum;
      kept[i].score += weights[i];
      for (size_t d = 0; d < q.size(); ++d) values[d] += weights[i] * kept[i].v[d];
    }
    return weights;
  }

  void evict(int64_t layer, int64_t t, const std::vector<std::vector<Vector>>& weights_of_rows,
             std::vector<Entry>& kept) const {
    const int64_t budget = policy_.budget_tokens;
    if (policy_.kind == PolicyKind::streaming && std::ssize(kept) > budget) {
      kept.erase(kept.begin() + 4);
    } else if (policy_.kind == PolicyKind::h2o && t >= prompt_tokens_ - 1 &&
               (t + 1) % step_tokens_ == 0) {
      while (std::ssize(kept) > budget) {
        const auto recent = kept.end() - (budget - budget / 2);
        kept.erase(std::min_element(kept.begin(), recent, [](const Entry& a, const Entry& b) {
          return a.score < b.score;
        }));
      }
    } else if (policy_.kind == PolicyKind::pyramidkv && t == prompt_tokens_ - 1) {
      const int64_t others = std::ssize(kept) - 8;
      Vector seen(kept.size());
      for (size_t row = kept.size() - 8; row < kept.size(); ++row) {
        for (const Vector& weights : weights_of_rows[row]) {
          for (size_t i = 0; i < weights.size(); ++i) seen[i] += weights[i];
        }
      }
      for (int64_t i = 0; i < others; ++i) {
        const auto begin = seen.begin() + std::max<int64_t>(0, i - 3);
        kept[static_cast<size_t>(i)].score =
            *std::max_element(begin, seen.begin() + std::min(others, i + 4));
      }
      const int64_t wanted = pyramid_tokens(budget, layer, num_layers_, prompt_tokens_);
      while (std::ssize(kept) > wanted) {
        // Neighbours share a maximum: of equal ones the last goes.
        const auto end = kept.end() - 8;
        auto least = kept.begin();
        for (auto entry = kept.begin(); entry != end; ++entry) {
          if (entry->score <= least->score) least = entry;
        }
        kept.erase(least);
      }
    }
  }

  CachePolicy policy_;
  int64_t num_layers_, prompt_tokens_, step_tokens_;
  std::vector<double> frequencies_;
  at::Tensor positions_T_;
  std::map<std::pair<int64_t, int64_t>, std::vector<Entry>> entries_;
};

}  // namespace longgen
