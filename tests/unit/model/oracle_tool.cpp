// The model code as a program, so that Python can hold it against transformers. Token ids are read
// as text from stdin; tensors are written as raw fp32, row-major.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>

#include "longgen/base/check.h"
#include "longgen/import/import.h"
#include "longgen/kv_cache/cached_context.h"
#include "longgen/model/model_directory.h"
#include "longgen/ops/linear_cross_entropy.h"

namespace longgen {
namespace {

at::Tensor read_ids() {
  const std::vector<int64_t> ids{std::istream_iterator<int64_t>(std::cin), {}};
  return at::tensor(ids, at::kLong);
}

void write_floats(const at::Tensor& tensor, const std::string& path) {
  const at::Tensor values = tensor.to(at::kFloat).contiguous();
  std::ofstream file(path, std::ios::binary);
  file.write(static_cast<const char*>(values.data_ptr()), values.nbytes());
  LG_CHECK(file.good(), path, ": cannot write");
}

void write_logits(const std::string& directory, const std::string& out, at::ScalarType dtype) {
  const Decoder decoder = load_model(directory, {.dtype = dtype});
  const c10::AutoGradMode no_grad(false);
  const at::Tensor ids = read_ids();
  BatchContext context(ids.size(0));
  write_floats(decoder.logits(decoder.forward(ids, context)), out);
}

/// Writes the logits that the paged cache leads to: a prompt of up to 130 tokens, then one to three
/// at a time.
void write_decoded_logits(const std::string& directory, const std::string& out) {
  const Decoder decoder = load_model(directory);
  const c10::AutoGradMode no_grad(false);
  const at::Tensor ids = read_ids();
  const KvLayout layout(decoder.config(), PageType::kFloat32);
  PagePool pool(layout.page_bytes());
  SequenceCache cache(layout, pool);
  std::vector<at::Tensor> logits;
  while (cache.length() < ids.size(0)) {
    const int64_t begin = cache.length();
    const int64_t count = std::min(ids.size(0) - begin, begin == 0 ? 130 : 1 + begin % 3);
    CachedContext context;
    LG_CHECK(context.begin({{&cache, count}}), "the pool is full");
    logits.push_back(decoder.logits(decoder.forward(ids.narrow(0, begin, count), context)));
    context.commit();
  }
  write_floats(at::cat(logits), out);
}

/// Writes the gradients of the mean loss, one file a parameter under its Hugging Face name, and
/// prints the loss.
void write_gradients(const std::string& directory, const std::string& out) {
  const Decoder loaded = load_model(directory);
  ModelWeights weights = loaded.weights();
  std::vector<at::Tensor> parameters;
  for (const NamedTensor& parameter : weights.parameters()) {
    parameters.push_back(parameter.tensor);
    parameters.back().requires_grad_(true);
  }
  const at::Tensor ids = read_ids();
  const int64_t num_targets = ids.size(0) - 1;
  const at::Tensor targets = at::cat({ids.slice(0, 1), at::full({1}, kNoTarget, at::kLong)});
  BatchContext context(ids.size(0));
  const at::Tensor hidden = loaded.forward(ids, context);
  const at::Tensor loss =
      linear_cross_entropy(hidden, weights.head_VE, targets).div(static_cast<double>(num_targets));
  const auto gradients = torch::autograd::grad({loss}, parameters);
  std::cout.precision(9);
  std::cout << loss.item<float>() << "\n";

  // The same layout as the weights, so that the views have the Hugging Face names.
  ModelWeights as_weights = allocate_weights(loaded.config(), at::kFloat);
  const auto slots = as_weights.parameters();
  for (size_t i = 0; i < slots.size(); ++i) {
    at::Tensor slot = slots[i].tensor;
    slot.copy_(gradients[i]);
  }
  for (const NamedTensor& view : as_weights.hugging_face_views(loaded.config())) {
    write_floats(view.tensor, (fs::path(out) / view.name).string());
  }
}

void save_copy(const std::string& directory, const std::string& out) {
  const Decoder decoder = load_model(directory);
  fs::create_directories(out);
  save_model(out, decoder.config(), decoder.weights(), at::kFloat);
}

int run(const std::vector<std::string>& arguments) {
  LG_CHECK(arguments.size() == 4,
           "usage: logits|logits-bfloat16|decoded|gradients|save|import IN OUT");
  const std::string& command = arguments[1];
  if (command == "logits") write_logits(arguments[2], arguments[3], at::kFloat);
  if (command == "logits-bfloat16") write_logits(arguments[2], arguments[3], at::kBFloat16);
  if (command == "decoded") write_decoded_logits(arguments[2], arguments[3]);
  if (command == "gradients") write_gradients(arguments[2], arguments[3]);
  if (command == "save") save_copy(arguments[2], arguments[3]);
  if (command == "import") import_model(arguments[2], arguments[3], {.show_progress = false});
  return 0;
}

}  // namespace
}  // namespace longgen

int main(int argc, char** argv) {
  try {
    return longgen::run({argv, argv + argc});
  } catch (const longgen::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
