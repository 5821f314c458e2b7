#include "longgen/model/model_directory.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>

#include <cstdint>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/checkpoint/float_bytes.h"
#include "longgen/checkpoint/safetensors.h"
#include "longgen/model/config_fields.h"
#include "longgen/model/gpu_limits.h"

namespace longgen {
namespace {

/// Returns torch's name of a type that check_weights() accepts.
at::ScalarType scalar_type(DType dtype) {
  return dtype == DType::bf16 ? at::kBFloat16 : dtype == DType::f16 ? at::kHalf : at::kFloat;
}

DType stored_dtype(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return DType::f32;
    case at::kHalf:
      return DType::f16;
    case at::kBFloat16:
      return DType::bf16;
    default:
      LG_FAIL("[save_model] expected float32, float16 or bfloat16, found ", at::toString(dtype),
              ".");
  }
}

void copy_entry(const TensorEntry& entry, const at::Tensor& to) {
  const at::ScalarType dtype = scalar_type(entry.dtype);
  const auto address = reinterpret_cast<uintptr_t>(entry.bytes.data());
  std::string aligned;  // files by others may hold tensors at odd addresses
  if (address % static_cast<uintptr_t>(dtype_bytes(entry.dtype)) != 0) aligned = entry.bytes;
  const char* data = aligned.empty() ? entry.bytes.data() : aligned.data();
  at::Tensor destination = to;
  destination.copy_(at::from_blob(const_cast<char*>(data), entry.shape, dtype));
}

/// Returns the tensor in this type, on the CPU.
at::Tensor in_type(const at::Tensor& tensor, DType dtype) {
  return tensor.detach().to(at::kCPU, scalar_type(dtype)).contiguous();
}

/// Returns the type to store a tensor in: fp32 where its numbers are too large for the one it had.
DType fitting_type(const NamedTensor& view, DType dtype) {
  if (dtype == DType::f32 || view.tensor.scalar_type() == scalar_type(dtype)) return dtype;
  const auto num_finite = [](const at::Tensor& tensor) {
    return at::isfinite(tensor).sum().item<int64_t>();
  };
  if (num_finite(in_type(view.tensor, dtype)) >= num_finite(view.tensor)) return dtype;
  log_warning(detail::concat("tensor ", view.name, " has numbers too large for ",
                             float_type_name(dtype),
                             ", in which the model is stored: it is "
                             "written as float32."));
  return DType::f32;
}

}  // namespace

Decoder load_model(const fs::path& directory, const LoadOptions& options) {
  LG_CHECK(options.dtype == at::kFloat || options.dtype == at::kBFloat16,
           "[load_model] expected float32 or bfloat16, found ", at::toString(options.dtype), ".");
  ModelConfig config = load_model_config(directory);
  const SafetensorsSet files(directory);
  check_weights(files, config, directory.string());  // before anything of the config's size is made
  warn_of_unknown_fields(config, (directory / "config.json").string());
  check_runs_on(options.device, config);
  ModelWeights weights = allocate_weights(config, options.dtype, options.device);
  for (const NamedTensor& view : weights.hugging_face_views(config)) {
    const TensorEntry& entry = *files.find(view.name);
    copy_entry(entry, view.tensor);
    release_pages(entry.bytes);  // otherwise file and copy are both in memory
  }
  return {std::move(config), std::move(weights)};
}

StoredTypes stored_types(const fs::path& directory) {
  const ModelConfig config = load_model_config(directory);
  const SafetensorsSet files(directory);
  check_weights(files, config, directory.string());
  return {files, config};
}

void save_model(const fs::path& directory, const ModelConfig& config, const ModelWeights& weights,
                const StoredTypes& types) {
  const std::vector<NamedTensor> views = weights.hugging_face_views(config);
  std::vector<TensorSpec> specs;
  for (const NamedTensor& view : views) {
    specs.push_back(
        {view.name, fitting_type(view, types.of(view.name)), view.tensor.sizes().vec()});
  }
  ModelWriter writer(directory, specs);
  for (size_t i = 0; i < views.size(); ++i) {
    const at::Tensor tensor = in_type(views[i].tensor, specs[i].dtype);
    writer.write(views[i].name, {static_cast<const char*>(tensor.data_ptr()), tensor.nbytes()});
  }
  writer.finish();
  ModelConfig described = config;
  set_stored_dtype(described, types.main());
  write_file(directory / "config.json", dump_model_config(described));
}

void save_model(const fs::path& directory, const ModelConfig& config, const ModelWeights& weights,
                at::ScalarType dtype) {
  save_model(directory, config, weights, StoredTypes(stored_dtype(dtype)));
}

}  // namespace longgen
