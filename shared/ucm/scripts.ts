/**
 * Scripts for the administrator of an Exchange on the customer's own premises, where nothing of ours reaches (mission E1 to E3): one that only
 * looks and posts what it saw, signed with a key that is good for one report; and one that sets what the product's prerequisites ask for.
 * Both keep to PowerShell 2.0, which Exchange 2010 has, and to ASCII.
 *
 * Sources: itrezzo, "UCM Prerequisites"; Get-Mailbox, Get-ADPermission, Get-ManagementRoleAssignment, Get-ThrottlingPolicy.
 */

/** `2010` grants rights on databases; what came later has application impersonation. */
export type PremisesVersion = "2010" | "later";

export interface SetScript {
  /** The service account, such as `CONTOSO\svc-ucm`. */
  account: string;
  version: PremisesVersion;
}

export interface CheckScript extends SetScript {
  /** Where the report is posted. */
  url: string;
  /** Says whose report it is; signed by us. */
  state: string;
  /** Signs one report: HMAC with SHA-256. */
  key: string;
}

export const THROTTLING_POLICY = "itrezzoSvcPolicy";

/** Nothing in it can end a string: letters, digits, `+`, `/`, `=`, `-`, `_` and `.`. */
const plain = (value: string): string => {
  if (!/^[A-Za-z0-9+/=_.-]*$/.test(value)) throw new Error("a value of a script has characters that don't belong there");
  return value;
};
const encoded = (text: string): string =>
  `[Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('${plain(Buffer.from(text, "utf8").toString("base64"))}'))`;

const header = (name: string, synopsis: string, description: string): string => `# gatehouse-ucm-${name} 1
<#
.SYNOPSIS
${synopsis}
.DESCRIPTION
${description}
.NOTES
Run it in the Exchange Management Shell, as an administrator of Exchange.
#>
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
`;

const databaseRights = `Get-MailboxDatabase | ForEach-Object {
    $rights = @(Get-ADPermission -Identity $_.DistinguishedName -User $account -ErrorAction SilentlyContinue |
      Where-Object { -not $_.Deny } | ForEach-Object { $_.ExtendedRights } | ForEach-Object { $_.RawIdentity })`;

const rightsSeen: Record<PremisesVersion, string> = {
  "2010": `
$databases = 0
$granted = 0
${databaseRights}
    $databases = $databases + 1
    if (($rights -contains 'Receive-As') -and ($rights -contains 'Send-As')) { $granted = $granted + 1 }
  }
Add-Line 'databases' $databases
Add-Line 'databasesGranted' $granted`,
  later: `
$impersonation = @(Get-ManagementRoleAssignment -Role 'ApplicationImpersonation' -RoleAssignee $account)
Add-Line 'impersonation' ($impersonation.Count -gt 0)`,
};

/** Reads only: the product's prerequisites, as they are found there. */
export const checkScript = ({ account, version, url, state, key }: CheckScript): string => `${header(
  "check",
  "Looks whether the service account of itrezzo UCM is ready, and reports it.",
  "Reads only. What it found is posted over HTTPS, signed with a key that is good for this one report.",
)}$account = ${encoded(account)}
$url = ${encoded(url)}
$state = '${plain(state)}'
$key = '${plain(key)}'
$script:lines = @()

function Add-Line($name, $value) {
  $script:lines += ($name + '=' + ([string]$value -replace '[\\r\\n]', ' '))
}

$name = $account.Substring($account.IndexOf('\\') + 1).Replace('(', '\\28').Replace(')', '\\29')
$searcher = New-Object DirectoryServices.DirectorySearcher
$searcher.Filter = '(sAMAccountName=' + $name + ')'
$found = $searcher.FindOne()
$managed = New-Object DirectoryServices.DirectorySearcher
$managed.Filter = '(sAMAccountName=' + $name + '$)'
$managedFound = $managed.FindOne()
Add-Line 'account' ($found -ne $null)
Add-Line 'managedServiceAccount' ($managedFound -ne $null)

$mailbox = Get-Mailbox -Identity $account -ErrorAction SilentlyContinue
Add-Line 'mailbox' ($mailbox -ne $null)
if ($mailbox -ne $null) {
  Add-Line 'mailboxType' $mailbox.RecipientTypeDetails
  Add-Line 'retentionPolicy' $mailbox.RetentionPolicy
  Add-Line 'litigationHold' $mailbox.LitigationHoldEnabled
  Add-Line 'archive' ($mailbox.ArchiveDatabase -ne $null)
  Add-Line 'senders' (@($mailbox.AcceptMessagesOnlyFromSendersOrMembers).Count)
  Add-Line 'throttlingPolicy' $mailbox.ThrottlingPolicy
  $policy = Get-ThrottlingPolicy -Identity '${THROTTLING_POLICY}' -ErrorAction SilentlyContinue
  if ($policy -ne $null) {
    Add-Line 'ewsMaxConcurrency' $policy.EWSMaxConcurrency
    Add-Line 'ewsMaxSubscriptions' $policy.EWSMaxSubscriptions
  }${rightsSeen[version].replaceAll("\n", "\n  ")}
}

$report = [Text.Encoding]::UTF8.GetBytes([string]::Join([string][char]10, $script:lines))
$hmac = New-Object Security.Cryptography.HMACSHA256
$hmac.Key = [Text.Encoding]::UTF8.GetBytes($key)
$signature = [BitConverter]::ToString($hmac.ComputeHash($report)).Replace('-', '').ToLower()
$body = '{"state":"' + $state + '","report":"' + [Convert]::ToBase64String($report) + '","signature":"' + $signature + '"}'
# 3072 is TLS 1.2, for which older versions of .NET have no name.
[Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]3072
$client = New-Object Net.WebClient
$client.Headers.Add('Content-Type', 'application/json')
$answer = $client.UploadString($url, $body)
Write-Host 'The report was taken. What was found:'
$script:lines | ForEach-Object { Write-Host $_ }
`;

const rightsSet: Record<PremisesVersion, string> = {
  "2010": `${databaseRights}
    if (($rights -notcontains 'Receive-As') -or ($rights -notcontains 'Send-As')) {
      $null = Add-ADPermission -Identity $_.DistinguishedName -User $account -AccessRights ExtendedRight -ExtendedRights @('Receive-As', 'Send-As')
    }
  }`,
  later: `$assigned = @(Get-ManagementRoleAssignment -Role 'ApplicationImpersonation' -RoleAssignee $account)
if ($assigned.Count -eq 0) {
  $null = New-ManagementRoleAssignment -Name 'itrezzo UCM' -Role 'ApplicationImpersonation' -User $account
}`,
};

/** Exchange 2010 has no word for it, and neither bursts nor balances. */
const unlimited: Record<PremisesVersion, string> = {
  "2010": "-EWSMaxConcurrency $null",
  later: "-EWSMaxConcurrency Unlimited -EwsMaxBurst Unlimited -EWSCutoffBalance Unlimited",
};

/** Sets what is missing and leaves the rest; run twice it changes nothing. What would lose mail it only names. */
export const setScript = ({ account, version }: SetScript): string => `${header(
  "set",
  "Makes the service account of itrezzo UCM ready in Exchange.",
  "Gives it the right to act for mailboxes and a throttling policy without limits for EWS, and takes its retention policy away.",
)}$account = ${encoded(account)}
$mailbox = Get-Mailbox -Identity $account

${rightsSet[version]}

$policy = Get-ThrottlingPolicy -Identity '${THROTTLING_POLICY}' -ErrorAction SilentlyContinue
if ($policy -eq $null) { $null = New-ThrottlingPolicy -Name '${THROTTLING_POLICY}' }
Set-ThrottlingPolicy -Identity '${THROTTLING_POLICY}' ${unlimited[version]} -EWSMaxSubscriptions 10000
Set-Mailbox -Identity $account -ThrottlingPolicy '${THROTTLING_POLICY}' -RetentionPolicy $null
if ($mailbox.LitigationHoldEnabled) { Write-Warning 'The mailbox is on litigation hold: whoever put it there has to take it off.' }
if ($mailbox.ArchiveDatabase -ne $null) { Write-Warning 'The mailbox has an archive: look what is in it, then Disable-Mailbox -Archive.' }
Write-Host 'Done. Now run the check script.'
`;
