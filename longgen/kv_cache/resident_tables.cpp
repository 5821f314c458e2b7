#include "longgen/kv_cache/resident_tables.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/ScopeExit.h>

#include <bit>
#include <cstring>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kUnitBytes = sizeof(PassBlock);
constexpr int64_t kGrowthUnits = int64_t{1} << 18;  // 2 MiB at a time

}  // namespace

ResidentTables::ResidentTables(const KvLayout& layout, at::Device device, int64_t max_rows)
    : device_(device),
      rows_(layout, max_rows),
      memory_(gpu_cache().new_memory(device, ResidentRows::kMostUnits * kUnitBytes)) {}

bool ResidentTables::has_room(int64_t num_units) {
  while (num_units_ < num_units) {
    std::byte* const added = memory_->add(kGrowthUnits * kUnitBytes);
    if (added == nullptr) return false;
    if (begin_ == nullptr) begin_ = added;
    num_units_ += kGrowthUnits;
  }
  return true;
}

/// Where memory runs out, what other sequences have is taken back first.
void ResidentTables::plan(const std::vector<PassPart>& parts, int64_t num_rows) {
  rows_.update(parts, num_rows);
  if (has_room(rows_.end())) return;
  rows_.clear();
  rows_.update(parts, num_rows);
  LG_CHECK(has_room(rows_.end()), "[kv cache] the GPU has no memory for the page tables of ",
           parts.size(), " sequences, ", rows_.end() * kUnitBytes,
           " bytes. Limit the pages of the KV cache, or use fewer or shorter sequences.");
}

void ResidentTables::upload(Buffer& buffer) {
  const TableUpload& changes = rows_.upload();
  const size_t piece_bytes = changes.pieces.size() * sizeof(TablePiece);
  const size_t unit_bytes = changes.units.size() * sizeof(PassBlock);
  if (!buffer.pinned.defined() || buffer.pinned.nbytes() < piece_bytes + unit_bytes) {
    const auto bytes = static_cast<int64_t>(std::bit_ceil(piece_bytes + unit_bytes));
    buffer.pinned = at::empty({bytes}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
  }
  auto* const to = buffer.pinned.data_ptr<uint8_t>();
  std::memcpy(to, changes.pieces.data(), piece_bytes);
  std::memcpy(to + piece_bytes, changes.units.data(), unit_bytes);
  gpu_cache().scatter(begin_, device_, buffer.pinned, static_cast<int64_t>(changes.pieces.size()));
  buffer.read.record(c10::impl::VirtualGuardImpl(c10::kCUDA).getStream(device_));
}

PassTables ResidentTables::update(const std::vector<PassPart>& parts, int64_t num_rows) {
  auto forget_all = c10::make_scope_exit([this] { rows_.clear(); });  // where something throws
  plan(parts, num_rows);
  Buffer& buffer = buffers_[next_buffer_];
  next_buffer_ = 1 - next_buffer_;
  buffer.read.synchronize();
  upload(buffer);
  forget_all.release();
  const at::Tensor memory = at::for_blob(begin_, {2 * num_units_})
                                .options(at::TensorOptions().dtype(at::kInt).device(device_))
                                .target_device(device_)
                                .make_tensor();
  return rows_.tables().at(memory);
}

}  // namespace longgen
