// SPDX-License-Identifier: Apache-2.0
// The source that a precompiled header needs to belong to.
int main() {
    return 0;
}
