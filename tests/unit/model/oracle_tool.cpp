// The model code as a program, so that Python can hold it against transformers. One process answers
// many requests, because libtorch takes a quarter of a second to load: lines of stdin such as
// {"command": "logits", "in": DIRECTORY, "out": FILE, "ids": [...]}, each answered by a line, an
// object with the loss of "gradients" or with the "error". Tensors are written as raw fp32,
// row-major.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <fstream>
#include <iostream>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/import/import.h"
#include "longgen/kv_cache/cached_context.h"
#include "longgen/model/model_directory.h"
#include "longgen/ops/linear_cross_entropy.h"

namespace longgen {
namespace {

struct Request {
  std::string command, in, out;
  at::Tensor ids;
};

Request parse_request(const std::string& line) {
  const Json json = parse_json(line, "stdin");
  return {json.at("command"), json.at("in"), json.at("out"),
          at::tensor(json.at("ids").get<std::vector<int64_t>>(), at::kLong)};
}

void write_floats(const at::Tensor& tensor, const std::string& path) {
  const at::Tensor values = tensor.to(at::kFloat).contiguous();
  std::ofstream file(path, std::ios::binary);
  file.write(static_cast<const char*>(values.data_ptr()), values.nbytes());
  LG_CHECK(file.good(), path, ": cannot write");
}

void write_logits(const Request& request, at::ScalarType dtype) {
  const Decoder decoder = load_model(request.in, {.dtype = dtype});
  const c10::AutoGradMode no_grad(false);
  BatchContext context(request.ids.size(0));
  write_floats(decoder.logits(decoder.forward(request.ids, context)), request.out);
}

/// Writes the logits that the paged cache leads to: a prompt of up to 130 tokens, then one to three
/// at a time.
void write_decoded_logits(const Request& request) {
  const Decoder decoder = load_model(request.in);
  const c10::AutoGradMode no_grad(false);
  const at::Tensor& ids = request.ids;
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
  write_floats(at::cat(logits), request.out);
}

/// Writes the gradients of the mean loss, one file a parameter under its Hugging Face name, and
/// returns the loss.
double write_gradients(const Request& request) {
  const Decoder loaded = load_model(request.in);
  ModelWeights weights = loaded.weights();
  std::vector<at::Tensor> parameters;
  for (const NamedTensor& parameter : weights.parameters()) {
    parameters.push_back(parameter.tensor);
    parameters.back().requires_grad_(true);
  }
  const at::Tensor& ids = request.ids;
  const int64_t num_targets = ids.size(0) - 1;
  const at::Tensor targets = at::cat({ids.slice(0, 1), at::full({1}, kNoTarget, at::kLong)});
  BatchContext context(ids.size(0));
  const at::Tensor hidden = loaded.forward(ids, context);
  const at::Tensor loss =
      linear_cross_entropy(hidden, weights.head_VE, targets).div(static_cast<double>(num_targets));
  const auto gradients = torch::autograd::grad({loss}, parameters);

  // The same layout as the weights, so that the views have the Hugging Face names.
  ModelWeights as_weights = allocate_weights(loaded.config(), at::kFloat);
  const auto slots = as_weights.parameters();
  for (size_t i = 0; i < slots.size(); ++i) {
    at::Tensor slot = slots[i].tensor;
    slot.copy_(gradients[i]);
  }
  for (const NamedTensor& view : as_weights.hugging_face_views(loaded.config())) {
    write_floats(view.tensor, (fs::path(request.out) / view.name).string());
  }
  return loss.item<double>();
}

void save_copy(const Request& request) {
  const Decoder decoder = load_model(request.in);
  fs::create_directories(request.out);
  save_model(request.out, decoder.config(), decoder.weights(), at::kFloat);
}

Json answer(const Request& request) {
  if (request.command == "gradients") return {{"loss", write_gradients(request)}};
  if (request.command == "logits") {
    write_logits(request, at::kFloat);
  } else if (request.command == "logits-bfloat16") {
    write_logits(request, at::kBFloat16);
  } else if (request.command == "decoded") {
    write_decoded_logits(request);
  } else if (request.command == "save") {
    save_copy(request);
  } else {
    LG_CHECK(request.command == "import", "unknown command ", request.command);
    import_model(request.in, request.out, {.show_progress = false});
  }
  return Json::object();
}

}  // namespace
}  // namespace longgen

int main() {
  using namespace longgen;
  for (std::string line; std::getline(std::cin, line);) {
    Json reply;
    try {
      reply = answer(parse_request(line));
    } catch (const std::exception& error) {
      reply = {{"error", error.what()}};
    }
    std::cout << dump_json(reply) << std::endl;
  }
}
