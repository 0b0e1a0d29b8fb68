import CLinux
package import Primitives

/// Small files, read whole.
package enum Files {
    /// No file of ours is larger; a longer one is a mistake in the configuration.
    package static let limitBytes = 64 * 1024 * 1024

    /// The content, or an errno.
    package static func read(_ path: ByteString) -> (bytes: ByteString?, error: Int32) {
        let opened = path.withCString { linux_open_file($0) }
        guard let file = Socket(result: opened) else { return (nil, Int32(truncatingIfNeeded: -opened)) }
        var content = ByteBuffer(capacity: 16 * 1024)
        var error: Int32 = 0
        withUnsafeTemporaryAllocation(byteCount: 16 * 1024, alignment: 8) { room in
            while true {
                let count = linux_read(file.descriptor, room.baseAddress, room.count)
                if count == -Int(linux_interrupted) { continue }
                if count < 0 { error = Int32(truncatingIfNeeded: -count) }
                guard count > 0 else { return }
                content.append(
                    ByteView(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])))
                if content.count > limitBytes {
                    error = linux_too_large
                    return
                }
            }
        }
        return error == 0 ? (ByteString(content.view), 0) : (nil, error)
    }
}
