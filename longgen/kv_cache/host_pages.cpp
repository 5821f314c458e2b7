#include "longgen/kv_cache/host_pages.h"

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <chrono>
#include <cstring>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/host.h"
#include "longgen/base/units.h"
#include "longgen/kv_cache/gpu_cache.h"

namespace longgen {
namespace {

c10::impl::VirtualGuardImpl streams() { return c10::impl::VirtualGuardImpl(c10::kCUDA); }

c10::Event timed_event() { return {c10::DeviceType::CUDA, c10::EventFlag::BACKEND_DEFAULT}; }

}  // namespace

/// Where the copies run, and two places in their work.
struct HostPages::OnGpu {
  explicit OnGpu(c10::Device device) : stream(streams().getStreamFromGlobalPool(device)) {}

  c10::Stream stream;
  c10::Event begin = timed_event(), end = timed_event();
};

HostPages::HostPages(const PagePool& pool, int64_t bytes)
    : pool_(pool), capacity_(bytes / pool.page_bytes()) {
  LG_CHECK(capacity_ > 0, "[host pages] the host may keep ", format_bytes(bytes),
           " of the KV cache, but a page takes ", format_bytes(pool.page_bytes()),
           ". Give it more memory, or none.");
  const int64_t available = machine_memory().available_bytes;
  LG_CHECK(available == 0 || bytes <= available, "[host pages] the host shall keep ",
           format_bytes(bytes), " of the KV cache, but the machine has only ",
           format_bytes(available), " of memory that is free. Ask for less.");
  const bool on_gpu = pool.device().is_cuda();
  memory_ = on_gpu ? gpu_cache().new_pinned_memory(pool.device()) : host_memory();
  begin_ = memory_->add(capacity_ * pool.page_bytes());
  LG_CHECK(begin_ != nullptr, "[host pages] the system has no ", format_bytes(bytes), " of ",
           on_gpu ? "pinned " : "", "memory for the KV cache. Ask for less.");
  if (on_gpu) gpu_ = std::make_unique<OnGpu>(pool.device());
}

HostPages::~HostPages() {
  if (gpu_ != nullptr) gpu_->end.synchronize();
}

void HostPages::begin(const PageCopies& copies) {
  if (gpu_ != nullptr) {
    copy_on_gpu(copies);
  } else {
    copy_on_cpu(copies);
  }
}

void HostPages::copy_on_cpu(const PageCopies& copies) {
  const auto begin = std::chrono::steady_clock::now();
  const auto bytes = static_cast<size_t>(pool_.page_bytes());
  for (const PageCopy& copy : copies.to_device) {
    std::memcpy(pool_.address(copy.device), address(copy.host), bytes);
  }
  for (const PageCopy& copy : copies.to_host) {
    std::memcpy(address(copy.host), pool_.address(copy.device), bytes);
  }
  seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void HostPages::copy_on_gpu(const PageCopies& copies) {
  std::vector<void*> to;
  std::vector<const void*> from;
  for (const PageCopy& copy : copies.to_device) {
    to.push_back(pool_.address(copy.device));
    from.push_back(address(copy.host));
  }
  for (const PageCopy& copy : copies.to_host) {
    to.push_back(address(copy.host));
    from.push_back(pool_.address(copy.device));
  }
  c10::Event behind(c10::DeviceType::CUDA);
  behind.record(streams().getStream(pool_.device()));
  behind.block(gpu_->stream);
  const c10::StreamGuard guard(gpu_->stream);
  gpu_->begin.record(gpu_->stream);
  gpu_cache().copy_blocks(pool_.device(), to, from, pool_.page_bytes());
  gpu_->end.record(gpu_->stream);
}

bool HostPages::is_done() const { return gpu_ == nullptr || gpu_->end.query(); }

double HostPages::end() {
  if (gpu_ == nullptr) return seconds_;
  constexpr double kSecondsPerMillisecond = 1e-3;
  gpu_->end.synchronize();
  return gpu_->begin.elapsedTime(gpu_->end) * kSecondsPerMillisecond;
}

}  // namespace longgen
