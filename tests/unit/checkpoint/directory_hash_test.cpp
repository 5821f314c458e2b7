#include "longgen/checkpoint/directory_hash.h"

#include "longgen/base/json.h"
#include "test_support.h"

namespace longgen {
namespace {

class DirectoryHashTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    fs::create_directories(dir_ / "optimizer");
    write_file(dir_ / "weights", "abc");
    write_file(dir_ / "optimizer/state", "");
  }
};

TEST_F(DirectoryHashTest, AnUnchangedFolderVerifies) {
  const std::string hash = write_manifest(dir_);
  EXPECT_EQ(verify_manifest(dir_), hash);
  EXPECT_EQ(hash_directory(dir_), hash);
  EXPECT_EQ(hash_file(dir_ / "weights"), hash_hex("abc"));
  const Json manifest = parse_json(read_file(dir_ / kManifestName), kManifestName);
  EXPECT_EQ(manifest, (Json{{"files",
                             {{"weights", {{"bytes", 3}, {"xxh3", hash_hex("abc")}}},
                              {"optimizer/state", {{"bytes", 0}, {"xxh3", hash_hex("")}}}}}}));
  EXPECT_EQ(write_manifest(dir_), hash) << "the manifest must not list itself";
  write_file(dir_ / "notes", "mine");
  EXPECT_EQ(verify_manifest(dir_), hash);
  EXPECT_NE(hash_directory(dir_), hash) << "a file more";
  EXPECT_EQ(verify_manifest(dir_), hash) << "hash_directory must not write";
  EXPECT_NE(write_manifest(dir_), hash);
}

TEST_F(DirectoryHashTest, ChangesAreNamed) {
  write_manifest(dir_);
  write_file(dir_ / "weights", "abd");
  EXPECT_ERROR(verify_manifest(dir_), "weights: expected XXH3 " + hash_hex("abc") +
                                          " as in manifest.json, found " + hash_hex("abd") +
                                          ": the file has changed.");
  write_file(dir_ / "weights", "ab");
  EXPECT_ERROR(verify_manifest(dir_), "weights: expected 3 bytes as in manifest.json, found 2.");
  fs::remove(dir_ / "weights");
  EXPECT_ERROR(verify_manifest(dir_), "weights: named in manifest.json, but missing.");
}

TEST_F(DirectoryHashTest, DamagedManifests) {
  EXPECT_ERROR(verify_manifest(dir_), "manifest.json: cannot be opened: No such file");
  write_file(dir_ / kManifestName, "{\"files\":{\"weights\":{\"bytes\":-1,\"xxh3\":\"\"}}}");
  EXPECT_ERROR(verify_manifest(dir_), "field files.weights.bytes: expected an integer from 0");
  write_file(dir_ / kManifestName, "{\"files\":{\"../x\":{\"bytes\":1,\"xxh3\":\"\"}}}");
  EXPECT_ERROR(verify_manifest(dir_), "a file name leads out of the folder");
  write_file(dir_ / kManifestName, "{\"files\":{\"weights\":{\"bytes\":3}}}");
  EXPECT_ERROR(verify_manifest(dir_), "field files.weights.xxh3 is missing.");
  write_file(dir_ / kManifestName, "{\"files\":{\"" + std::string(5000, 'n') + "\":{}}}");
  EXPECT_ERROR(verify_manifest(dir_), "named in manifest.json, but missing.");
  EXPECT_ERROR(hash_directory(dir_ / "none"), "none: no such folder.");
  write_file(dir_ / kManifestName, "{}");
  EXPECT_ERROR(verify_manifest(dir_), "field files is missing.");
}

}  // namespace
}  // namespace longgen
