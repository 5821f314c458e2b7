#include "longgen/checkpoint/directory_hash.h"

#include <system_error>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/checkpoint/tensor_entry.h"

namespace longgen {
namespace {

/// The names in a manifest are sorted, so that equal folders give equal text.
std::string manifest_text(const fs::path& directory) {
  std::error_code failed;
  LG_CHECK(fs::is_directory(directory, failed), directory.string(), ": no such folder.");
  const fs::path manifest = directory / kManifestName;
  Json files = Json::object();
  for (const fs::path& path : list_files(directory)) {
    if (path == manifest) continue;
    const MappedFile file(path);
    files[path.lexically_relative(directory).generic_string()] = {{"bytes", file.bytes().size()},
                                                                  {"xxh3", hash_hex(file.bytes())}};
  }
  return dump_json(Json{{"files", std::move(files)}}, 1) + "\n";
}

void verify_file(const fs::path& directory, const std::string& name, const JsonObject& expected) {
  const fs::path path = join_inside(directory, name);
  const std::string where = directory.string() + "/" + printable(name);
  std::error_code failed;  // a name too long for the system is missing too
  LG_CHECK(fs::exists(path, failed), where, ": named in ", kManifestName, ", but missing.");
  const MappedFile file(path);
  const auto found_bytes = static_cast<int64_t>(file.bytes().size());
  const int64_t expected_bytes = expected.integer("bytes", 0, INT64_MAX);
  LG_CHECK(found_bytes == expected_bytes, where, ": expected ", expected_bytes, " bytes as in ",
           kManifestName, ", found ", found_bytes, ".");
  const std::string expected_hash = expected.string("xxh3"), found_hash = hash_hex(file.bytes());
  LG_CHECK(found_hash == expected_hash, where, ": expected XXH3 ", printable(expected_hash),
           " as in ", kManifestName, ", found ", found_hash, ": the file has changed.");
}

}  // namespace

std::string hash_file(const fs::path& path) { return hash_hex(MappedFile(path).bytes()); }

std::string hash_directory(const fs::path& directory) { return hash_hex(manifest_text(directory)); }

std::string write_manifest(const fs::path& directory) {
  const std::string text = manifest_text(directory);
  write_file(directory / kManifestName, text);
  return hash_hex(text);
}

std::string verify_manifest(const fs::path& directory) {
  const std::string source = (directory / kManifestName).string();
  const std::string text = read_file(source, kMaxManifestBytes);
  const Json value = parse_json(text, source);
  const JsonObject files = JsonObject(value, source).object("files");
  for (const auto& [name, unused] : files.value().items()) {
    verify_file(directory, name, JsonObject(files.raw(name), source, "files." + printable(name)));
  }
  return hash_hex(text);
}

}  // namespace longgen
