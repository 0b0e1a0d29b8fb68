// swift-tools-version: 6.2
import PackageDescription

// The graph is one-way: a target depends on lower rows only (see README, "The house").
// `bin/test` builds with `--explicit-target-dependency-import-check error`, and TidyTests compares
// the rows below with what the sources import.

let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]

/// For test rigs: their classes are one thread's, and debug builds check that nothing is written twice at once.
let rig: [SwiftSetting] =
    house + [
        .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
    ]

func pure(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: house)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name + "Tests", dependencies: dependencies, swiftSettings: house)
}

let package = Package(
    name: "pglido",
    targets: [
        // row 0: C libraries
        .target(name: "CLinux", cSettings: [.define("_GNU_SOURCE")]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CAres", pkgConfig: "libcares", providers: [.apt(["libc-ares-dev"])]),
        .systemLibrary(name: "CLDAP", pkgConfig: "ldap", providers: [.apt(["libldap-dev"])]),
        .systemLibrary(name: "CPAM", providers: [.apt(["libpam0g-dev"])]),
        // row 1
        pure("Primitives", []),
        // row 2, pure
        pure("Wire", ["Primitives"]),
        pure("Pool", ["Primitives"]),
        pure("Config", ["Primitives"]),
        pure("Crypto", ["Primitives", "COpenSSL"]),
        // row 2, the only code that makes system calls
        pure("EventLoop", ["Primitives", "CLinux"]),
        // row 3
        pure("TLS", ["Primitives", "Config", "COpenSSL"]),
        pure("Auth", ["Primitives", "Wire", "Crypto"]),
        // row 4
        pure("Session", ["Primitives", "Wire", "Pool", "Config", "Crypto", "Auth"]),
        // row 5
        pure("Engine", ["Primitives", "Wire", "Pool", "Config", "Auth", "Session"]),
        // row 6
        pure("Console", ["Primitives", "Wire", "Pool", "Config", "Session", "Engine"]),
        // row 7
        pure(
            "Daemon",
            [
                "Primitives", "Wire", "Config", "TLS", "Auth", "Session", "Engine", "Console", "EventLoop",
                "CLinux", "CAres", "COpenSSL", "CLDAP", "CPAM",
            ]),
        .target(
            name: "Simulator",
            dependencies: ["Primitives", "Crypto", "Pool", "Config", "Auth", "Session", "Engine", "Console"],
            swiftSettings: rig),
        pure(
            "Fuzzers",
            [
                "Primitives", "Wire", "Pool", "Config", "Crypto", "EventLoop", "TLS", "Auth", "Session",
                "Engine", "Console",
            ]),
        // row 8
        .executableTarget(
            name: "pglido", dependencies: ["Primitives", "Daemon"], swiftSettings: house,
            linkerSettings: [
                .unsafeFlags(["-static-stdlib", "-Xlinker", "--gc-sections"], .when(configuration: .release))
            ]),
        .executableTarget(name: "simulate", dependencies: ["Primitives", "Simulator"], swiftSettings: house),
        .executableTarget(name: "fuzz", dependencies: ["Primitives", "Fuzzers"], swiftSettings: house),
        tests("Primitives", ["Primitives"]),
        tests("Wire", ["Primitives", "Wire"]),
        tests("Pool", ["Primitives", "Pool"]),
        tests("Config", ["Config", "Primitives"]),
        tests("Crypto", ["Primitives", "Crypto"]),
        tests("Auth", ["Primitives", "Wire", "Crypto", "Auth"]),
        tests("Simulator", ["Primitives", "Simulator"]),
        tests("Session", ["Primitives", "Wire", "Config", "Session"]),
        tests("Engine", ["Primitives", "Wire", "Crypto", "Auth", "Config", "Pool", "Session", "Engine"]),
        tests("Tidy", []),
        tests("EventLoop", ["Primitives", "EventLoop", "CLinux"]),
        tests("TLS", ["Primitives", "Config", "TLS"]),
        tests("Console", ["Primitives", "Wire", "Config", "EventLoop", "Session", "Engine", "Console"]),
        tests(
            "Daemon", ["Primitives", "Config", "Crypto", "Auth", "Engine", "EventLoop", "Daemon", "CLinux"]),
        tests("Fuzzers", ["Primitives", "Fuzzers"]),
    ])
