#include "longgen/kv_cache/cuda/device_memory.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <algorithm>

#include "longgen/base/check.h"

namespace longgen::cuda {
namespace {

// Memory is mapped in pieces of at least this size: few mappings, and little unused memory in
// the last one.
constexpr size_t kPieceBytes = size_t{64} << 20;

size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

/// The driver's functions. They are looked up, so that nothing links libcuda.so.
struct Driver {
  decltype(&cuMemGetAllocationGranularity) granularity;
  decltype(&cuMemAddressReserve) reserve;
  decltype(&cuMemAddressFree) free;
  decltype(&cuMemCreate) create;
  decltype(&cuMemRelease) release;
  decltype(&cuMemMap) map;
  decltype(&cuMemUnmap) unmap;
  decltype(&cuMemSetAccess) set_access;
};

template <typename Function>
void look_up(const char* name, Function& function) {
  constexpr unsigned kVersion = 12000;  // of the interface
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion(name, &found, kVersion, cudaEnableDefault, &result);
  LG_CHECK(error == cudaSuccess && result == cudaDriverEntryPointSuccess && found != nullptr,
           "[kv cache] the NVIDIA driver has no ", name, ". Install a newer one.");
  function = reinterpret_cast<Function>(found);
}

const Driver& driver() {
  static const Driver functions = [] {
    Driver d = {};
    look_up("cuMemGetAllocationGranularity", d.granularity);
    look_up("cuMemAddressReserve", d.reserve);
    look_up("cuMemAddressFree", d.free);
    look_up("cuMemCreate", d.create);
    look_up("cuMemRelease", d.release);
    look_up("cuMemMap", d.map);
    look_up("cuMemUnmap", d.unmap);
    look_up("cuMemSetAccess", d.set_access);
    return d;
  }();
  return functions;
}

}  // namespace

CUmemAllocationProp DeviceMemory::properties() const {
  CUmemAllocationProp properties = {};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, {device_.index()}};
  return properties;
}

DeviceMemory::DeviceMemory(c10::Device device, std::optional<int64_t> max_bytes) : device_(device) {
  const c10::cuda::CUDAGuard guard(device);
  size_t free_bytes = 0, total_bytes = 0;
  const cudaError_t error = cudaMemGetInfo(&free_bytes, &total_bytes);  // also makes the context
  LG_CHECK(error == cudaSuccess, "[kv cache] ", device.str(),
           " cannot be used: ", cudaGetErrorString(error), ".");
  const CUmemAllocationProp wanted = properties();
  LG_CHECK(driver().granularity(&granularity_, &wanted, CU_MEM_ALLOC_GRANULARITY_MINIMUM) ==
               CUDA_SUCCESS,
           "[kv cache] ", device.str(), " has no virtual memory management.");
  const size_t most =
      max_bytes ? std::min(static_cast<size_t>(*max_bytes), total_bytes) : total_bytes;
  reserved_ = round_up(most, granularity_);
  LG_CHECK(driver().reserve(&base_, reserved_, 0, 0, 0) == CUDA_SUCCESS, "[kv cache] ",
           device.str(), ": no range of ", reserved_, " addresses is free.");
}

DeviceMemory::~DeviceMemory() {
  const c10::cuda::CUDAGuard guard(device_);
  cudaDeviceSynchronize();  // kernels may still read
  size_t at = 0;
  for (const Piece& piece : pieces_) {
    driver().unmap(base_ + at, piece.bytes);
    driver().release(piece.handle);
    at += piece.bytes;
  }
  driver().free(base_, reserved_);
}

bool DeviceMemory::map(size_t bytes) {
  const CUmemAllocationProp wanted = properties();
  Piece piece = {0, bytes};
  if (driver().create(&piece.handle, bytes, &wanted, 0) != CUDA_SUCCESS) return false;
  CUmemAccessDesc access = {};
  access.location = wanted.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  const CUdeviceptr at = base_ + mapped_;
  if (driver().map(at, bytes, 0, piece.handle, 0) != CUDA_SUCCESS) {
    driver().release(piece.handle);
    return false;
  }
  if (driver().set_access(at, bytes, &access, 1) != CUDA_SUCCESS) {
    driver().unmap(at, bytes);
    driver().release(piece.handle);
    return false;
  }
  pieces_.push_back(piece);
  mapped_ += bytes;
  return true;
}

std::byte* DeviceMemory::add(int64_t bytes) {
  const size_t end = used_ + static_cast<size_t>(bytes);
  if (end > reserved_) return nullptr;
  if (end > mapped_) {
    const size_t needed = round_up(end - mapped_, granularity_);
    const size_t generous = std::min(std::max(needed, kPieceBytes), reserved_ - mapped_);
    if (!map(generous) && !map(needed)) {
      // Torch keeps memory for later tensors; it gives that back.
      c10::cuda::CUDACachingAllocator::emptyCache();
      if (!map(needed)) return nullptr;
    }
  }
  std::byte* const start = reinterpret_cast<std::byte*>(base_) + used_;
  used_ = end;
  return start;
}

void DeviceMemory::copy(std::byte* to, const std::byte* from, int64_t bytes) const {
  const c10::cuda::CUDAGuard guard(device_);
  const cudaError_t error =
      cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, c10::cuda::getCurrentCUDAStream());
  LG_CHECK(error == cudaSuccess, "[kv cache] copy of a page: ", cudaGetErrorString(error), ".");
}

}  // namespace longgen::cuda
