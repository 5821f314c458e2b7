#include "longgen/engine/device_drawer.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>

#include "longgen/base/check.h"
#include "longgen/engine/device_mark.h"
#include "longgen/engine/draw_setup.h"
#include "longgen/engine/gpu_draws.h"

namespace longgen {
namespace {

at::Tensor pinned_bytes(int64_t count) {
  return at::empty({count}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
}

/// Copies plain data to a device, as bytes, without waiting; undefined for none.
template <typename T>
at::Tensor bytes_on(at::Device device, const std::vector<T>& values) {
  if (values.empty()) return {};
  const auto count = static_cast<int64_t>(values.size() * sizeof(T));
  const at::Tensor pinned = pinned_bytes(count);
  std::memcpy(pinned.data_ptr(), values.data(), static_cast<size_t>(count));
  return pinned.to(device, /*non_blocking=*/true);
}

template <typename T>
T* address(const at::Tensor& bytes) {
  return bytes.defined() ? static_cast<T*>(bytes.data_ptr()) : nullptr;
}

/// The bits of the rows that have some, one behind the other.
class AllowedOnDevice {
 public:
  AllowedOnDevice(at::Device device, std::span<const AllowedTokens> rows, int64_t vocab_size)
      : num_words_(static_cast<size_t>((vocab_size + 31) / 32)) {
    std::vector<uint32_t> words;
    for (const AllowedTokens& row : rows) {
      LG_DCHECK(row.empty() || row.size() >= num_words_);
      places_.push_back(row.empty() ? -1 : std::ssize(words));
      if (row.empty()) continue;
      words.insert(words.end(), row.begin(), row.begin() + static_cast<std::ptrdiff_t>(num_words_));
    }
    bytes_ = bytes_on(device, words);
  }
  /// Null where all tokens are allowed.
  const uint32_t* row(size_t index) const {
    if (places_.empty() || places_[index] < 0) return nullptr;
    return address<uint32_t>(bytes_) + places_[index];
  }

 private:
  size_t num_words_;
  std::vector<std::ptrdiff_t> places_;  // of rows, in words; -1: all tokens are allowed
  at::Tensor bytes_;
};

/// How a row of a step is told of.
struct ToldRow {
  int64_t draw;
  std::optional<int64_t> num_best;  // of its logprobs, where they are wanted
};

/// Results on their way to the host: tokens, then logprobs.
class LaunchedDraws : public PendingDraws {
 public:
  LaunchedDraws(const at::Tensor& results, std::vector<ToldRow> rows, int64_t vocab_size)
      : rows_(std::move(rows)), vocab_size_(vocab_size), results_(pinned_bytes(results.numel())) {
    results_.copy_(results, /*non_blocking=*/true);
    end_.emplace(results.device());
  }

  std::vector<Drawn> wait() override {
    end_->wait();
    const auto* const tokens = static_cast<const DrawnToken*>(results_.const_data_ptr());
    const auto* logprobs = reinterpret_cast<const DrawnLogprobs*>(tokens + rows_.size());
    std::vector<Drawn> all(rows_.size());
    for (size_t n = 0; n < rows_.size(); ++n) {
      const ToldRow& row = rows_[n];
      if (tokens[n].status == DrawStatus::drawn) {
        all[n].token = tokens[n].token;
        if (row.num_best) all[n].logprobs = told_logprobs(*logprobs, *row.num_best);
      } else {
        all[n].error = draw_error(tokens[n], row.draw + 1, vocab_size_);
      }
      logprobs += row.num_best ? 1 : 0;
    }
    return all;
  }

 private:
  std::vector<ToldRow> rows_;
  int64_t vocab_size_;
  at::Tensor results_;
  std::optional<DeviceMark> end_;
};

}  // namespace

DeviceDrawer::DeviceDrawer(at::Device device, int64_t vocab_size, int64_t most_slots)
    : device_(device),
      vocab_size_(vocab_size),
      slots_(most_slots),
      drawn_S_(at::zeros({most_slots}, at::TensorOptions().dtype(at::kLong).device(device))) {
  LG_CHECK(vocab_size <= kMostDrawnClasses, "[sample] on a GPU a vocabulary has at most ",
           kMostDrawnClasses, " tokens, found ", vocab_size, ".");
}

int64_t DeviceDrawer::begin(const DrawSettings& settings, std::span<const int32_t> prompt) {
  check_draw_settings(settings, prompt, vocab_size_);
  const SamplingOptions& sampling = settings.sampling;
  Sequence sequence = {draw_row(sampling), settings.num_barred, settings.num_logprobs, {}, {}, {}};
  DrawRow& row = sequence.row;
  const std::vector<TokenBias> bias = sorted_bias(sampling);
  sequence.bias = bytes_on(device_, bias);
  row.bias = address<TokenBias>(sequence.bias);
  row.num_bias = static_cast<int32_t>(bias.size());
  if (settings.num_barred > 0) sequence.barred = bytes_on(device_, settings.barred);
  row.barred = address<int32_t>(sequence.barred);
  row.num_barred = row.barred == nullptr ? 0 : static_cast<int32_t>(settings.barred.size());
  if (sampling.repetition_penalty != 1) {
    sequence.counts_V = bytes_on(device_, first_counts(prompt, vocab_size_));
  } else if (counts_tokens(sampling)) {
    sequence.counts_V =
        at::zeros({vocab_size_}, at::TensorOptions().dtype(at::kInt).device(device_));
  }
  row.counts_V = address<uint32_t>(sequence.counts_V);
  const int64_t slot = slots_.add(std::move(sequence));
  slots_[slot].row.slot = static_cast<int32_t>(slot);
  return slot;
}

std::unique_ptr<PendingDraws> DeviceDrawer::draw(const at::Tensor& logits_NV,
                                                 std::span<const int64_t> slots,
                                                 std::span<const AllowedTokens> allowed) {
  const AllowedOnDevice allowed_on_device(device_, allowed, vocab_size_);
  std::vector<DrawRow> rows;
  std::vector<ToldRow> told;
  int32_t num_changed = 0, num_logprobs = 0;
  for (const int64_t slot : slots) {
    Sequence& sequence = slots_[slot];
    DrawRow row = sequence.row;
    const auto draw = static_cast<int64_t>(sequence.row.draw++);
    if (draw >= sequence.num_barred) row.num_barred = 0;
    row.allowed = allowed_on_device.row(rows.size());
    const bool changes =
        row.num_bias + row.num_barred > 0 || row.counts_V != nullptr || row.allowed != nullptr;
    row.changed = changes ? num_changed++ : -1;
    std::optional<int64_t> num_best = sequence.num_logprobs;
    if (num_best) {
      num_best = std::min(*num_best, vocab_size_);
      row.num_best = static_cast<int32_t>(*num_best);
      row.logprobs = num_logprobs++;
    }
    rows.push_back(row);
    told.push_back({draw, num_best});
  }
  const auto bytes_of_tokens = static_cast<int64_t>(rows.size() * sizeof(DrawnToken));
  const int64_t bytes_of_logprobs = num_logprobs * static_cast<int64_t>(sizeof(DrawnLogprobs));
  const at::Tensor results = at::empty({bytes_of_tokens + bytes_of_logprobs},
                                       at::TensorOptions().dtype(at::kByte).device(device_));
  gpu::draws().draw(logits_NV.contiguous(), vocab_size_, num_changed,
                    {.rows = bytes_on(device_, rows),
                     .tokens = results.narrow(0, 0, bytes_of_tokens),
                     .logprobs = results.narrow(0, bytes_of_tokens, bytes_of_logprobs),
                     .drawn_S = drawn_S_});
  return std::make_unique<LaunchedDraws>(results, std::move(told), vocab_size_);
}

}  // namespace longgen
