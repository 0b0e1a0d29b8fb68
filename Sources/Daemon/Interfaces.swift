import CLinux
import Config
import EventLoop
import Primitives

/// What the configuration wants to know of the machine.
enum Interfaces {
    /// The addresses of this machine and the networks they are in; `nil` when the kernel does not say.
    static func networks() -> Networks? {
        final class Found { var networks = Networks() }
        let found = Found()
        let result = linux_list_interfaces(Unmanaged.passUnretained(found).toOpaque()) {
            owner, address, mask in
            guard let owner, let address, let mask else { return }
            let found = Unmanaged<Found>.fromOpaque(owner).takeUnretainedValue()
            let host = SocketAddress(address.pointee)
            let whole = SocketAddress(family: host.family, high: .max, low: .max)
            found.networks.hosts.append(AddressRange(host, mask: whole))
            found.networks.networks.append(AddressRange(host, mask: SocketAddress(mask.pointee)))
        }
        return result == 0 ? found.networks : nil
    }

    /// The names in a folder.
    static func list(_ path: ByteString) -> Result<[ByteString], FileProblem> {
        final class Found { var names: [ByteString] = [] }
        let found = Found()
        let result = path.withCString {
            linux_list_folder($0, Unmanaged.passUnretained(found).toOpaque()) { owner, name in
                guard let owner, let name else { return }
                Unmanaged<Found>.fromOpaque(owner).takeUnretainedValue()
                    .names.append(ByteString(String(cString: name)))
            }
        }
        if result == 0 { return .success(found.names) }
        return .failure(FileProblem(errorText(Int32(truncatingIfNeeded: -result)).lossyText))
    }
}
