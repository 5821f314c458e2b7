#include "longgen/model/model_directory.h"

#include <ATen/ops/from_blob.h>

#include <cstdint>

#include "longgen/base/check.h"
#include "longgen/checkpoint/safetensors.h"
#include "longgen/model/import.h"

namespace longgen {
namespace {

at::ScalarType scalar_type(const TensorEntry& entry, const std::string& directory) {
  switch (entry.dtype) {
    case DType::f32:
      return at::kFloat;
    case DType::f16:
      return at::kHalf;
    case DType::bf16:
      return at::kBFloat16;
    default:
      LG_FAIL(directory, ": tensor ", printable(entry.name), ": expected F32, F16 or BF16, found ",
              dtype_name(entry.dtype), ".");
  }
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

void copy_entry(const TensorEntry& entry, const std::string& directory, const at::Tensor& to) {
  const at::ScalarType dtype = scalar_type(entry, directory);
  const auto address = reinterpret_cast<uintptr_t>(entry.bytes.data());
  std::string aligned;  // files by others may hold tensors at odd addresses
  if (address % static_cast<uintptr_t>(dtype_bytes(entry.dtype)) != 0) aligned = entry.bytes;
  const char* data = aligned.empty() ? entry.bytes.data() : aligned.data();
  at::Tensor destination = to;
  destination.copy_(at::from_blob(const_cast<char*>(data), entry.shape, dtype));
}

}  // namespace

Decoder load_model(const fs::path& directory, const LoadOptions& options) {
  LG_CHECK(options.dtype == at::kFloat || options.dtype == at::kBFloat16,
           "[load_model] expected float32 or bfloat16, found ", at::toString(options.dtype), ".");
  ModelConfig config = load_model_config(directory);
  const SafetensorsSet files(directory);
  check_weights(files, config, directory.string());  // before anything of the config's size is made
  ModelWeights weights = allocate_weights(config, options.dtype, options.device);
  for (const NamedTensor& view : weights.hugging_face_views(config)) {
    const TensorEntry& entry = *files.find(view.name);
    copy_entry(entry, directory.string(), view.tensor);
    release_pages(entry.bytes);  // otherwise file and copy are both in memory
  }
  return {std::move(config), std::move(weights)};
}

void save_model(const fs::path& directory, const ModelConfig& config, const ModelWeights& weights,
                at::ScalarType dtype) {
  const DType stored = stored_dtype(dtype);
  const std::vector<NamedTensor> views = weights.hugging_face_views(config);
  std::vector<TensorSpec> specs;
  for (const NamedTensor& view : views) {
    specs.push_back({view.name, stored, view.tensor.sizes().vec()});
  }
  ModelWriter writer(directory, specs);
  for (const NamedTensor& view : views) {
    const at::Tensor tensor = view.tensor.detach().to(at::kCPU, dtype).contiguous();
    writer.write(view.name, {static_cast<const char*>(tensor.data_ptr()), tensor.nbytes()});
  }
  writer.finish();
  ModelConfig described = config;
  set_stored_dtype(described, dtype_name(stored));
  write_file(directory / "config.json", dump_model_config(described));
}

}  // namespace longgen
