#include "longgen/bench/model_sample.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <optional>
#include <span>

#include "longgen/base/check.h"
#include "longgen/base/process.h"
#include "longgen/base/units.h"
#include "longgen/bench/machine.h"
#include "longgen/bench/timing.h"
#include "longgen/device/gpu_memory.h"
#include "longgen/engine/engine.h"
#include "longgen/train/step.h"

namespace longgen {
namespace {

/// Ids spread over the vocabulary, the same every time.
std::vector<int32_t> some_ids(int64_t count, int64_t vocab_size) {
  std::vector<int32_t> ids(count);
  uint64_t state = 1;
  for (int32_t& id : ids) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    id = static_cast<int32_t>((state >> 33) % static_cast<uint64_t>(vocab_size));
  }
  return ids;
}

OrderedJson part(const SampleOptions& options, double seconds, int64_t page_bytes) {
  OrderedJson json = {{"seconds", seconds}, {"host_bytes", peak_memory_bytes()}};
  if (options.device.is_cuda()) {  // the KV cache's pages are not the allocator's
    const GpuMemory memory = gpu_memory(options.device);
    json["device_bytes"] = memory.peak_allocated + page_bytes;
    json["device_reserved_bytes"] = memory.peak_reserved + page_bytes;
  }
  return json;
}

void add_rates(const SampleOptions& options, OrderedJson& json) {
  json["gemm_flops_per_s"] = gemm_rate(options.device, options.dtype);
  json["copy_bytes_per_s"] = copy_rate(options.device);
}

void check_finite(const at::Tensor& logits) {
  LG_CHECK(at::isfinite(logits).all().item<bool>(),
           "[bench model] the logits are not finite: these weights measure nothing.");
}

/// Sequences that are decoded together, as a server would.
class SequenceBatch {
 public:
  SequenceBatch(const Decoder& decoder, const SampleOptions& options)
      : engine_(decoder), chunk_(static_cast<size_t>(options.chunk)) {
    for (int64_t n = 0; n < options.batch; ++n) sequences_.push_back(engine_.add());
  }

  /// Appends a prompt to sequence n, and gives the logits that follow.
  at::Tensor append(size_t n, std::span<const int32_t> ids) {
    BatchResult result;
    while (!ids.empty()) {
      const auto chunk = ids.first(std::min(chunk_, ids.size()));
      ids = ids.subspan(chunk.size());
      result = step({{sequences_[n], chunk, ids.empty()}});
    }
    return result.logits_BV;
  }
  /// Makes every sequence one of num_tokens tokens with random K and V.
  void set_random(int64_t num_tokens) {
    for (SequenceId& sequence : sequences_) {
      engine_.remove(sequence);
      std::vector<HeldPage> pages;
      for (int32_t table = 0; table < engine_.layout().num_tables(); ++table) {
        for (int32_t block = 0; block < num_blocks(num_tokens); ++block) {
          if (!engine_.layout().live(table, block, num_tokens)) continue;
          pages.push_back({table, block, random_page()});
        }
      }
      sequence = engine_.adopt(num_tokens, pages);
      for (const HeldPage& held : pages) engine_.pool().release(held.page);
    }
  }
  /// Appends the token to every sequence in one step, and gives the logits that follow.
  at::Tensor decode(int32_t token) {
    std::vector<BatchPart> parts;
    for (const SequenceId sequence : sequences_) parts.push_back({sequence, {&token, 1}});
    return step(parts).logits_BV;
  }
  void clear() {
    for (SequenceId& sequence : sequences_) {
      engine_.remove(sequence);
      sequence = engine_.add();
    }
  }
  const PagePool& pool() const { return engine_.pool(); }
  int64_t bytes_peak() const { return pool().high_water() * pool().page_bytes(); }

 private:
  BatchResult step(const std::vector<BatchPart>& parts) {
    BatchResult result = engine_.step(parts);
    check_memory(result.end == BatchEnd::done);
    return result;
  }
  void check_memory(bool is_enough) const {
    LG_CHECK(is_enough, "[bench model] out of memory: the KV cache holds ",
             format_bytes(pool().bytes_in_use()),
             " and cannot grow. Use fewer --tokens or a smaller --batch.");
  }
  PageId random_page() {
    std::vector<PageId> page;
    check_memory(engine_.pool().allocate(1, page));
    const at::Device device = pool().device();
    const at::ScalarType type = engine_.decoder().dtype();
    at::for_blob(pool().address(page[0]),
                 {pool().page_bytes() / static_cast<int64_t>(c10::elementSize(type))})
        .options(at::TensorOptions(device).dtype(type))
        .target_device(device)
        .make_tensor()
        .normal_();
    return page[0];
  }

  Engine engine_;
  size_t chunk_;
  std::vector<SequenceId> sequences_;
};

/// A batch of `count` tokens in one sequence; each row's target is the next token.
MicroBatch some_batch(int64_t count, int64_t vocab_size) {
  const std::vector<int32_t> ids = some_ids(count + 1, vocab_size);
  MicroBatch batch = {at::empty({count}, at::kLong), at::empty({count}, at::kLong),
                      at::zeros({1}, at::kLong)};
  std::copy(ids.begin(), ids.end() - 1, batch.tokens_T.data_ptr<int64_t>());
  std::copy(ids.begin() + 1, ids.end(), batch.targets_T.data_ptr<int64_t>());
  return batch;
}

/// Takes steps as `longgen extend` does.
class Training {
 public:
  Training(const ModelSubject& subject, const ModelCut& cut, const SampleOptions& options)
      : model_(cut_config(subject, cut),
               cut_weights(subject, cut, options.states_dtype, options.device), options.dtype) {
    step_options_.backward.recompute = options.recompute;
    if (options.offload == Offloading::layer_inputs) offload_.emplace(options.device);
    step_options_.backward.offload = offload_ ? &*offload_ : nullptr;
    step_options_.adamw.learning_rate = 1e-5;
    step_options_.adamw.weight_decay = 0.1;
  }

  void step(const MicroBatch& batch) {
    const StepResult result =
        train_step(model_, {batch}, batch.tokens_T.size(0), ++step_, step_options_);
    LG_CHECK(result.applied, "[bench model] loss ", result.loss, ", gradient norm ",
             result.gradient_norm, ": not finite, so the step measures nothing.");
  }

 private:
  TrainableModel model_;
  std::optional<LayerOffload> offload_;
  StepOptions step_options_;
  int64_t step_ = 0;
};

}  // namespace

OrderedJson sample_serving(const ModelSubject& subject, const ModelCut& cut,
                           const SampleOptions& options) {
  OrderedJson sample;
  {
    const at::Device device = options.device;
    const Decoder decoder(cut_config(subject, cut),
                          cut_weights(subject, cut, options.dtype, device));
    SequenceBatch sequences(decoder, options);
    const std::vector<int32_t> ids = some_ids(options.tokens, subject.config.vocab_size);
    const auto decode = [&](int64_t count) {
      for (int64_t i = 0; i < count; ++i) sequences.decode(ids[i % options.tokens]);
    };
    if (options.prefill) {
      const size_t warm_up = device.is_cuda() ? ids.size() : std::min<size_t>(ids.size(), 64);
      sequences.append(0, std::span(ids).first(warm_up));
      decode(1);
      sequences.clear();

      reset_gpu_peaks(options.device);
      at::Tensor logits;
      const double prefill = seconds_of(device, [&] {
        for (int64_t n = 0; n < options.batch; ++n) logits = sequences.append(n, ids);
      });
      check_finite(logits);
      sample["prefill"] =
          part(options, prefill / static_cast<double>(options.batch), sequences.bytes_peak());
    } else {
      sequences.set_random(options.tokens);
    }
    sample["kv_bytes"] = sequences.pool().bytes_in_use();

    reset_gpu_peaks(options.device);
    check_finite(sequences.decode(ids[0]));  // on a GPU the first step records a graph
    const double steps = seconds_of(device, [&] { decode(options.decode_tokens); });
    sample["decode"] =
        part(options, steps / static_cast<double>(options.decode_tokens), sequences.bytes_peak());
  }
  add_rates(options, sample);
  return sample;
}

OrderedJson sample_training(const ModelSubject& subject, const ModelCut& cut,
                            const SampleOptions& options) {
  OrderedJson sample;
  {
    Training training(subject, cut, options);
    const int64_t vocab_size = subject.config.vocab_size;
    const int64_t warm_up = options.offload == Offloading::none ? 256 : options.tokens;
    training.step(some_batch(std::min(options.tokens, warm_up), vocab_size));
    reset_gpu_peaks(options.device);
    const MicroBatch batch = some_batch(options.tokens, vocab_size);
    const double seconds = seconds_of(options.device, [&] { training.step(batch); });
    sample["train"] = part(options, seconds, 0);
  }
  add_rates(options, sample);
  return sample;
}

}  // namespace longgen
