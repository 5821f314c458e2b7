// The readers and writers of checkpoint/ as a program, for the Python tests beside it.
//   reshard IN_DIR OUT_DIR MAX_SHARD_BYTES   reads a model directory, writes its tensors again
//   copy IN_FILE OUT_FILE                    the same with one safetensors file and its metadata
//   gguf-metadata FILE                       prints all metadata as JSON, arrays of numbers as such
//   gguf-floats FILE                         for each tensor a line of JSON (name, type, shape),
//                                            then its elements as raw fp32
#include <chrono>
#include <cstdio>
#include <iostream>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/checkpoint/dequantize.h"
#include "longgen/checkpoint/gguf.h"
#include "longgen/checkpoint/safetensors.h"

namespace longgen {
namespace {

void reshard(const fs::path& from, const fs::path& to, int64_t max_shard_bytes) {
  const SafetensorsSet set(from);
  std::vector<TensorSpec> specs;
  for (const std::string& name : set.names()) {
    specs.push_back({name, set.find(name)->dtype, set.find(name)->shape});
  }
  ModelWriter writer(to, specs, max_shard_bytes);
  for (const std::string& name : set.names()) writer.write(name, set.find(name)->bytes);
  writer.finish();
}

void copy(const fs::path& from, const fs::path& to) {
  const SafetensorsFile file(from);
  std::vector<TensorSpec> specs;
  for (const TensorEntry& entry : file.tensors()) {
    specs.push_back({entry.name, entry.dtype, entry.shape});
  }
  SafetensorsWriter writer(to, specs, file.metadata());
  for (const TensorEntry& entry : file.tensors()) writer.write(entry.name, entry.bytes);
  writer.finish();
}

Json metadata_of(const GgufFile& file, const std::string& key, const GgufValue& value) {
  switch (value.type == GgufValueType::array ? value.element_type : value.type) {
    case GgufValueType::string:
      return value.type == GgufValueType::array ? Json(file.strings(key)) : Json(file.string(key));
    case GgufValueType::f32:
    case GgufValueType::f64:
      return value.type == GgufValueType::array ? Json(file.floats(key))
                                                : Json(file.number(key, -1e300, 1e300));
    case GgufValueType::boolean:
      return file.boolean(key);
    default:
      return value.type == GgufValueType::array ? Json(file.integers(key))
                                                : Json(file.integer(key, INT64_MIN, INT64_MAX));
  }
}

void print_metadata(const fs::path& path) {
  const GgufFile file(path);
  Json all = Json::object();
  for (const auto& [key, value] : file.values()) all[key] = metadata_of(file, key, value);
  std::cout << dump_json(all) << "\n";
}

void print_floats(const fs::path& path) {
  const GgufFile file(path);
  for (const GgufFile::Tensor& tensor : file.tensors()) {
    std::vector<float> floats(static_cast<size_t>(tensor.num_elements()));
    const auto start = std::chrono::steady_clock::now();
    dequantize(tensor.type, tensor.bytes, floats);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const Json line = {{"name", tensor.name},
                       {"type", ggml_type_name(tensor.type)},
                       {"shape", tensor.shape},
                       {"seconds", seconds.count()}};
    std::cout << dump_json(line) << "\n";
    std::cout.write(reinterpret_cast<const char*>(floats.data()),
                    static_cast<std::streamsize>(floats.size() * sizeof(float)));
  }
}

int run(const std::vector<std::string>& args) {
  if (args.size() == 4 && args[0] == "reshard") {
    reshard(args[1], args[2], std::stoll(args[3]));
  } else if (args.size() == 3 && args[0] == "copy") {
    copy(args[1], args[2]);
  } else if (args.size() == 2 && args[0] == "gguf-metadata") {
    print_metadata(args[1]);
  } else if (args.size() == 2 && args[0] == "gguf-floats") {
    print_floats(args[1]);
  } else {
    LG_FAIL("usage: see the top of oracle_tool.cpp");
  }
  return 0;
}

}  // namespace
}  // namespace longgen

int main(int argc, char** argv) {
  try {
    return longgen::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
