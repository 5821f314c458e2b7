// engine/device_mark.h: a place in the work of a GPU.
#pragma once

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace longgen {

/// Stands behind all work that was queued on the device's current stream before it was made.
class DeviceMark {
 public:
  explicit DeviceMark(c10::Device device)
      : event_(device.type(), c10::EventFlag::BACKEND_DEFAULT) {  // with times
    event_.record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  }
  bool is_done() const { return event_.query(); }
  /// Waits until that work is done.
  void wait() const { event_.synchronize(); }
  /// The seconds that the GPU took from another mark, of the same stream, to this one. Both have
  /// been waited for.
  double seconds_since(const DeviceMark& before) const {
    constexpr double kSecondsPerMillisecond = 1e-3;
    return before.event_.elapsedTime(event_) * kSecondsPerMillisecond;
  }

 private:
  c10::Event event_;
};

}  // namespace longgen
